"""Supervised background delegation for coding agents.

::

    async with background_agents.connect(".") as agents:
        delegation = await agents.delegate("List the licences of our dependencies.", "explore")
        await delegation.wait()
        print(await delegation.result())

What ``__all__`` lists is public; ``docs/reference/python.md`` tells of all of it. It is imported
when it is used, so that no command pays for it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as of typing, which takes 5 ms to load
if TYPE_CHECKING:
    from background_agents.client.asynchronous import AsyncClient, AsyncHandle, connect
    from background_agents.client.synchronous import Client, Handle, connect_sync
    from background_agents.control.protocol import Answered
    from background_agents.domain import errors
    from background_agents.views.json import ActiveSheet, EventSheet, PeekSheet, Sheet

__version__ = "0.1.0"

__all__ = [
    "ActiveSheet",
    "Answered",
    "AsyncClient",
    "AsyncHandle",
    "Client",
    "EventSheet",
    "Handle",
    "PeekSheet",
    "Sheet",
    "__version__",
    "connect",
    "connect_sync",
    "errors",
]


def __getattr__(name: str) -> object:
    """Import what is public when it is asked for first."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from background_agents import domain
    from background_agents.client import asynchronous, synchronous

    room = (
        domain if name == "errors" else synchronous if hasattr(synchronous, name) else asynchronous
    )
    return getattr(room, name)
