"""OpenCode 1."""
