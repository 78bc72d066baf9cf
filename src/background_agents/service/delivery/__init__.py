"""What supervisors are told, and how it gets there exactly once."""
