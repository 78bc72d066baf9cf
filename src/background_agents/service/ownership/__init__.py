"""Which process supervises what, and who takes over when it dies."""
