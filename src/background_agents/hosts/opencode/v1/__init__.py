"""What is OpenCode 1's alone: its plugin and its hooks."""
