"""OpenCode as a runtime and as the place of supervisors, over HTTP or the plugin's bridge."""
