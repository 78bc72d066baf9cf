"""Which project a directory belongs to, and where that is kept."""
