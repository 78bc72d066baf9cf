"""Real programs for tests and measurements, each in a home of its own: OpenCode, its TUI, tmux."""
