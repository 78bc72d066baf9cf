"""The delegation store in one SQLite database per project.

One thread owns the only connection; the event loop never touches SQLite. People's programs
read it directly (``records``), without a loop, and import nothing that needs one.
"""
