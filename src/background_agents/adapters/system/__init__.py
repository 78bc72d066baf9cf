"""The machine: its clock and its processes."""
