"""What makes OpenCode load us, plugin and panel, and what stands in the way."""
