"""A connection over a socket that the parent process left open for us."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

READ_BYTES = 256 * 1024
"""Read at a time: a large answer arrives in few steps."""


class NoSocket(Exception):
    """The descriptor is not a socket."""

    def __init__(self, descriptor: int, reason: str) -> None:
        super().__init__(
            f"descriptor {descriptor} is not a socket ({reason}); this command is started by "
            "the plugin, not by hand"
        )


async def open_descriptor(
    descriptor: int,
) -> tuple[asyncio.StreamReader, Callable[[bytes], None]]:
    """Return the reader of the socket ``descriptor``, and a function that writes to it.

    Raises:
        NoSocket: there is no such socket.
    """
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise NoSocket(descriptor, str(error)) from error
    reader, writer = await asyncio.open_connection(sock=sock, limit=READ_BYTES)
    return reader, writer.write


async def pump(reader: asyncio.StreamReader, feed: Callable[[bytes], None]) -> None:
    """Feed everything that arrives, until the peer closes its end or dies."""
    try:
        while data := await reader.read(READ_BYTES):
            feed(data)
    except ConnectionError:
        return  # its death is an end like any other
