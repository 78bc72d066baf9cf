"""Working trees apart: copied, compared with what they were, and applied to where they are from."""
