"""OpenCode as a host: the plugin's bridge, and the process at its other end."""
