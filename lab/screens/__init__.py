"""Pictures for the documentation, taken of the real programs at work."""
