"""What is OpenCode 2's alone: its plugin and its hooks."""
