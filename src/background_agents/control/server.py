"""The service's end of the control socket: who is let in and how long; ``calls`` has what is said.

Any number of clients may be connected; each is a person's program, and one that leaves in the
middle takes nothing with it but its own question.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from background_agents.adapters.files.private import FILE_MODE, private_folder
from background_agents.control import places, protocol
from background_agents.control.calls import Client, translate
from background_agents.domain.errors import DelegationError
from background_agents.rpc.connection import Connection
from background_agents.rpc.descriptor import pump
from background_agents.service.user import UserDelegations

log = logging.getLogger(__name__)

BACKLOG = 128
"""Clients that may knock at the same moment, as those of a script that waits for many; Linux
turns the next one away at once."""

UNREAD_BYTES = 4 * 1024 * 1024
"""A client that follows a run and does not read is dropped beyond this, counted from the largest
frame that it was sent: what has been written so far may be larger by itself."""


class ControlServer:
    """Listens for this user's programs, for as long as the service lives."""

    def __init__(
        self,
        path: Path,
        users: Callable[[], Sequence[UserDelegations]],
        about: Callable[[], protocol.About],
    ) -> None:
        self._path = path
        self._users = users
        self._about = about
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen. A socket that cannot be made is logged: the service works without."""
        try:
            listening = await asyncio.to_thread(self._bind)
        except (OSError, DelegationError) as error:
            log.warning("no control socket at %s: %s", self._path, error)
            return
        self._server = await asyncio.start_unix_server(self._welcome, sock=listening)

    async def close(self) -> None:
        """Stop listening, and end what clients still wait for."""
        if self._server is not None:
            self._server.close()
            await asyncio.to_thread(self._path.unlink, missing_ok=True)
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def _bind(self) -> socket.socket:
        private_folder(self._path.parent)
        for leftover in places.leftovers(self._path.parent.parent):
            leftover.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        try:
            with places.short(self._path) as name:
                listening.bind(name)
            # Nobody can connect before `listen`, and nobody else can enter the folder.
            os.chmod(self._path, FILE_MODE)
            listening.listen(BACKLOG)
            listening.setblocking(False)
        except BaseException:
            listening.close()
            raise
        return listening

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a client is served by a task")
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)
        try:
            peer = writer.get_extra_info("socket")
            # asyncio's wrapper has no way to ask, so a copy of the descriptor is.
            with socket.socket(fileno=os.dup(peer.fileno())) as asked:
                if not places.is_same_user(asked):
                    log.warning("another user's process was turned away from %s", self._path)
                    return
                pid = places.pid_of(asked)
            await self._serve(reader, writer, pid)
        except asyncio.CancelledError:
            return  # the service ends; asyncio would call the cancellation a failure
        finally:
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int
    ) -> None:
        largest = 0

        def write(data: bytes) -> None:
            nonlocal largest
            if writer.transport.get_write_buffer_size() > UNREAD_BYTES + largest:
                log.warning("a client that reads nothing was dropped from %s", self._path)
                writer.transport.abort()
            if not writer.transport.is_closing():
                largest = max(largest, len(data))
                writer.write(data)

        client = Client(self._users, self._about, pid)
        connection = Connection(write, calls=client.calls, translate=translate)
        client.connection = connection
        try:
            await pump(reader, connection.feed)
        finally:
            await connection.close("The client has left.")
