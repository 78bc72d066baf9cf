"""The thread that owns the connection, and commits together what waits together.

Whatever queued up during one commit goes into the next one, so that a burst of
changes costs a few fsyncs instead of one each. Knows nothing of delegations.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import msgspec

from background_agents.adapters.sqlite.merging import Identity, bring_newer, put_back
from background_agents.adapters.sqlite.rebuild import Files, no_files, open_database
from background_agents.domain.errors import DelegationError, StoreUnavailable

T = TypeVar("T")

Job = Callable[[sqlite3.Connection], T]
"""Something to do with the connection, inside a transaction, on the writer's thread."""

_DAMAGE = (sqlite3.Error, msgspec.DecodeError, UnicodeDecodeError)
"""What a job raises when the database, and not its caller, is at fault."""

_log = logging.getLogger(__name__)


class _Call(Generic[T]):
    """A job, its outcome, and the future of whoever waits for it."""

    def __init__(self, job: Job[T], writes: bool, future: asyncio.Future[T]) -> None:
        self.job = job
        self.writes = writes
        self.result: T
        self.error: Exception | None = None
        self._future = future

    def answer(self) -> None:
        """Wake the caller, on the event loop. One that was cancelled does not care."""
        if self._future.done():
            return
        if self.error is not None:
            self._future.set_exception(self.error)
        else:
            self._future.set_result(self.result)


class Writer:
    """Runs jobs on its own thread, in the order in which they were submitted."""

    def __init__(self, path: Path, files: Files = no_files) -> None:
        self._path = path
        self._files = files
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._closed = False
        self._opened = Identity(None, None)
        self._suspect = False
        """Damage was met: the database is to be looked at before it is used again."""
        self._connection: sqlite3.Connection | None = None
        self._died = False
        """The thread has ended, and nobody has closed the store."""
        self._thread = self._new_thread()

    async def start(self) -> None:
        """Open the database. Raises ``StoreUnavailable``."""
        opened = self._enqueue(lambda _: None, writes=False)
        self._thread.start()
        try:
            await opened
        except BaseException:
            await self.close()
            raise

    async def run(self, job: Job[T], *, writes: bool) -> T:
        """Return what ``job`` returned, once the transaction that held it is committed.

        What a job raises reaches its caller alone, and what it changed is undone.
        A caller that is cancelled stops waiting; its job is done nevertheless.

        Raises:
            StoreUnavailable: SQLite failed, or the store is closed; nothing was stored.
        """
        if self._closed:
            raise StoreUnavailable(f"The database {self._path} is closed; open the store again.")
        future = self._enqueue(job, writes)
        # Looked at afterwards: a thread that dies takes what was enqueued before it said so.
        if self._died:
            self._died = False
            self._thread = self._new_thread()
            self._thread.start()
        return await future

    async def close(self) -> None:
        """Finish what was submitted, close the connection and end the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _new_thread(self) -> threading.Thread:
        # A daemon, so that a process whose loop died can still end; what was answered
        # is on disk by then.
        return threading.Thread(target=self._run, name="sqlite-writer", daemon=True)

    def _enqueue(self, job: Job[T], writes: bool) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Call(job, writes, future))
        return future

    # --- on the writer's thread ----------------------------------------------

    def _run(self) -> None:
        """Serve batch after batch until the store is closed."""
        try:
            while batch := self._next_batch():
                self._serve(batch)
            self._let_go()
        except BaseException as error:
            _log.exception("The thread of %s died, and the next call starts another", self._path)
            self._let_go()
            self._died = True
            self._refuse(self._waiting(), error)

    def _serve(self, batch: Sequence[_Call[Any]]) -> None:
        """Do a batch and answer it; whatever happens, nobody of it waits for ever."""
        try:
            self._connection = self._current()
            self._commit(self._connection, batch)
        except BaseException as error:
            if not isinstance(error, DelegationError | sqlite3.Error | OSError):
                _log.exception("The database %s met what nobody foresaw", self._path)
            self._let_go()
            self._refuse(batch, error)
        else:
            self._answer(batch)

    def _let_go(self) -> None:
        """Close the connection, whatever state it is in; the next batch opens it anew."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.close()
        except sqlite3.Error:
            _log.exception("The database %s could not be closed", self._path)

    def _waiting(self) -> Sequence[_Call[Any]]:
        """Take all calls that wait."""
        calls: list[_Call[Any]] = []
        with suppress(Empty):
            while True:
                if (call := self._queue.get_nowait()) is not None:
                    calls.append(call)
        return calls

    def _open(self) -> sqlite3.Connection:
        connection = open_database(self._path, self._files)
        self._opened = Identity.of(self._path)
        self._suspect = False
        return connection

    def _current(self) -> sqlite3.Connection:
        """Return a connection to the database that is there now.

        Another process may have rebuilt it, somebody may have deleted it, or we have just met
        damage and shall rebuild it.
        """
        connection = self._connection
        if connection is None:
            return self._open()
        if self._suspect:
            # First, since to open it touches the file, which would cost this connection its locks.
            self._let_go()
            return self._open()
        now = Identity.of(self._path)
        if self._opened.still_holds(now):
            self._opened = now
            return connection
        _log.warning("The database %s has changed under us and is opened again", self._path)
        return self._moved_on(connection)

    def _moved_on(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Return a connection to the file that is there now, with all that the old one held."""
        opened, fresh = self._opened, None
        try:
            put_back(connection, self._path, opened)
            fresh = self._open()
            brought = bring_newer(connection, fresh, self._path.parent.name)
            _log.warning("%d delegations were brought to %s", brought, self._path)
        except (StoreUnavailable, OSError, sqlite3.Error) as error:
            if fresh is None or not _is_corrupt(error):
                # What runs is in the old one alone: that is used until this can be done.
                _log.error("What %s held cannot be brought there yet: %s", self._path, error)
                self._opened = opened
                if fresh is not None:
                    fresh.close()
                return connection
            # It was replaced because it is damaged: what can be read of it others have read.
            _log.warning("What was open before %s is damaged: %s", self._path, error)
        connection.close()
        return fresh

    def _next_batch(self) -> Sequence[_Call[Any]]:
        """Wait for a call and take all that wait with it; nothing once the store is closed."""
        batch: list[_Call[Any]] = []
        call = self._queue.get()
        try:
            while call is not None:
                batch.append(call)
                call = self._queue.get_nowait()
        except Empty:
            return batch
        if batch:
            self._queue.put(None)  # the end again, for when these are done
        return batch

    def _commit(self, connection: sqlite3.Connection, batch: Sequence[_Call[Any]]) -> None:
        """Do a batch in one transaction. If that fails, every call of it fails."""
        writes = any(call.writes for call in batch)
        try:
            connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            for call in batch:
                self._attempt(connection, call)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._suspect = self._suspect or _is_corrupt(error)
            for call in batch:
                call.error = self._unavailable(error)
            self._roll_back(connection)

    def _attempt(self, connection: sqlite3.Connection, call: _Call[Any]) -> None:
        """Do one job; if it fails, take back what it changed and leave the others alone."""
        connection.execute("SAVEPOINT call")
        try:
            call.result = call.job(connection)
        except BaseException as error:
            if not connection.in_transaction:
                raise  # SQLite gave up the transaction, and the others with it
            self._suspect = self._suspect or _is_corrupt(error)
            call.error = self._unavailable(error) if isinstance(error, _DAMAGE) else _fit(error)
            connection.execute("ROLLBACK TO call")
        connection.execute("RELEASE call")

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        """End a failed transaction, if SQLite has not done so itself."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:  # every later call will say that the database cannot be used
            _log.exception("The database %s could not roll back", self._path)

    def _refuse(self, batch: Sequence[_Call[Any]], error: BaseException) -> None:
        """Fail calls, whose jobs were not done or were undone."""
        told = error if isinstance(error, DelegationError) else self._unavailable(error)
        for call in batch:
            call.error = told
        self._answer(batch)

    def _unavailable(self, error: BaseException) -> StoreUnavailable:
        unavailable = StoreUnavailable(
            f"The database {self._path} cannot be used ({error}); "
            "check the disk and the permissions of its folder."
        )
        unavailable.__cause__ = error
        return unavailable

    def _answer(self, batch: Sequence[_Call[Any]]) -> None:
        def answer() -> None:
            for call in batch:
                call.answer()

        try:
            self._loop.call_soon_threadsafe(answer)
        except RuntimeError:
            _log.debug("The event loop ended before %d answers of %s", len(batch), self._path)


def _is_corrupt(error: BaseException) -> bool:
    """Return whether an error of a job, which is not our statement's fault, means damage."""
    if isinstance(error, sqlite3.DatabaseError):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return isinstance(error, msgspec.DecodeError | UnicodeDecodeError)


def _fit(error: BaseException) -> Exception:
    """Return what a future may hold: no StopIteration, nor what would end the loop."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    stand_in = RuntimeError(f"a job raised {type(error).__name__}: {error}")
    stand_in.__cause__ = error
    return stand_in
