"""What tests, the demo and benchmarks ask of a running OpenCode, of either line.

One surface, ``OpenCodeClient``, with a small implementation for each line: ``one`` and ``two``.
"""

from __future__ import annotations

from pathlib import Path

from lab.harness.client.base import ApiError, NotOnThisLine, OpenCodeClient, authorization
from lab.harness.client.events import Events, Seen
from lab.harness.client.messages import Info, Part, StoredMessage
from lab.harness.client.one import ClientOne
from lab.harness.client.two import ClientTwo
from lab.harness.line import Line

__all__ = [
    "ApiError",
    "Events",
    "Info",
    "NotOnThisLine",
    "OpenCodeClient",
    "Part",
    "Seen",
    "StoredMessage",
    "authorization",
    "client_for",
]


def client_for(
    line: Line, base_url: str, directory: Path, password: str | None = None
) -> OpenCodeClient:
    """Return a client for the project in ``directory``, to be used as ``async with``."""
    kind = ClientOne if line is Line.ONE else ClientTwo
    return kind(base_url, directory, password)
