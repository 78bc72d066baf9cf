"""Two connections that are joined in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from background_agents.rpc.connection import Connection


def pair(
    left: Callable[[Callable[[bytes], None]], Connection],
    right: Callable[[Callable[[bytes], None]], Connection],
) -> tuple[Connection, Connection]:
    """Join two connections in memory; each argument makes one from its ``write``."""
    ends: dict[str, Connection] = {}
    loop = asyncio.get_running_loop()
    ends["left"] = left(lambda data: _later(loop, ends, "right", data))
    ends["right"] = right(lambda data: _later(loop, ends, "left", data))
    return ends["left"], ends["right"]


def _later(
    loop: asyncio.AbstractEventLoop, ends: dict[str, Connection], to: str, data: bytes
) -> None:
    loop.call_soon(lambda: ends[to].feed(data))
