"""The delegation store in one SQLite database per project.

One thread owns the only connection; the event loop never touches SQLite.
"""

from background_agents.adapters.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
