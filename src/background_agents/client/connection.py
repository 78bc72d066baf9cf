"""A program of the user's at a service's socket. Synchronous, and quick to import."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from background_agents.control import places, protocol
from background_agents.domain.annotation import Annotation
from background_agents.domain.errors import DelegationError, InvalidRequest, NotServed
from background_agents.domain.order import Order
from background_agents.rpc.blocking import Caller, NoAnswer
from background_agents.rpc.messages import CLOSED, RpcError
from background_agents.views.json import ActiveSheet, PeekSheet, Sheet
from background_agents.views.live import BEGINNING, Position

T = TypeVar("T")

LOOK_LIMIT_S = 5.0
"""Looks are answered from memory, in milliseconds; a service that takes longer hangs."""

KNOCK_AGAIN_S = 0.02
"""A service takes up whoever waits each time its loop turns, which is more often."""

ACT_LIMIT_S = 60.0
"""A stop waits until a session is quiet; as the bridge allows a model's call."""


class Connection:
    """One service process; use it as ``with Connection.of(...)``."""

    def __init__(self, caller: Caller, path: Path) -> None:
        self._caller = caller
        self._path = path

    @classmethod
    def of(cls, data_root: Path, owner: str) -> Self:
        """Connect to the process that owns something. Raises ``NotServed``."""
        return cls.at(places.path_of(data_root, owner))

    @classmethod
    def at(cls, path: Path) -> Self:
        """Connect to the socket at ``path``. Raises ``NotServed``."""
        connected = socket.socket(socket.AF_UNIX)
        try:
            connected.settimeout(LOOK_LIMIT_S)
            with places.short(path) as name:
                _connect(connected, name)
            if not places.is_same_user(connected):
                raise NotServed(f"{path} is another user's.")
        except OSError as error:
            connected.close()
            raise NotServed(f"No service answers at {path}.") from error
        except BaseException:
            connected.close()
            raise
        return cls(Caller(connected), path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave; the service gives up what it does for us alone."""
        self._caller.close()

    def interrupt(self) -> None:
        """Let what another thread waits for here fail, as if the service had ended."""
        self._caller.interrupt()

    def about(self) -> protocol.About:
        """Return what the process is, and what it has open."""
        return self._call(protocol.ABOUT, protocol.Nothing(), protocol.About)

    def live(self) -> list[ActiveSheet]:
        """Return every delegation that the process runs."""
        return self._call(protocol.LIVE, protocol.Nothing(), list[ActiveSheet])

    def peek(self, project: str, delegation: str) -> PeekSheet:
        """Return what a run has written so far."""
        return self._call(protocol.PEEK, _which(project, delegation), PeekSheet)

    def transcript(self, project: str, delegation: str) -> str:
        """Return all that was said in a run."""
        return self._call(protocol.TRANSCRIPT, _which(project, delegation), str, ACT_LIMIT_S)

    def follow(
        self,
        project: str,
        delegation: str,
        seen: Position = BEGINNING,
        *,
        from_prompt: bool = False,
    ) -> Iterator[protocol.Wrote]:
        """Yield what a run has written since ``seen``, and what it writes until it has ended."""
        followed = protocol.Followed(
            project=project, id=delegation, seen=seen, from_prompt=from_prompt
        )
        with self._explained():
            for method, params in self._caller.hear(protocol.FOLLOW, followed, Sheet, None):
                if method == protocol.WROTE:
                    yield msgspec.json.decode(params, type=protocol.Wrote)

    def change(self, project: str, delegation: str, version: int, limit_s: float) -> Sheet:
        """Return once more than ``version`` events are stored, it has ended, or time is over."""
        known = protocol.Known(project=project, id=delegation, version=version, limit_s=limit_s)
        return self._call(protocol.CHANGE, known, Sheet, limit_s + LOOK_LIMIT_S)

    def steer(self, project: str, delegation: str, message: str) -> Sheet:
        """Put an instruction into a run; return once it is sent."""
        said = protocol.Said(project=project, id=delegation, text=message)
        return self._call(protocol.STEER, said, Sheet, ACT_LIMIT_S)

    def answer(
        self, project: str, delegation: str, reply: str, request: str = ""
    ) -> protocol.Answered:
        """Answer the oldest request of a delegation, if it is still ``request``."""
        said = protocol.Said(project=project, id=delegation, text=reply, request=request)
        return self._call(protocol.ANSWER, said, protocol.Answered, ACT_LIMIT_S)

    def extend(self, project: str, delegation: str, minutes: float) -> Sheet:
        """Give a delegation more time; 0 for no time limit."""
        longer = protocol.Longer(project=project, id=delegation, minutes=minutes)
        return self._call(protocol.EXTEND, longer, Sheet, ACT_LIMIT_S)

    def annotate(self, project: str, delegation: str, change: Annotation) -> Sheet:
        """Give a delegation that has not ended labels or a note."""
        annotated = protocol.Named(project=project, id=delegation, change=change)
        return self._call(protocol.ANNOTATE, annotated, Sheet, ACT_LIMIT_S)

    def stop(self, project: str, delegation: str) -> Sheet:
        """Stop a delegation; return once its session is quiet."""
        return self._call(protocol.STOP, _which(project, delegation), Sheet, ACT_LIMIT_S)

    def stop_all(self, project: str, ids: Sequence[str]) -> list[Sheet | InvalidRequest]:
        """Stop several delegations in one act; return each, or why it was not stopped."""
        several = protocol.Several(project=project, ids=tuple(ids))
        found = self._call(protocol.STOP_ALL, several, list[protocol.Stopped], ACT_LIMIT_S)
        return [one.delegation or InvalidRequest(one.refused) for one in found]

    def wait(self, awaited: protocol.Awaited, asks: Callable[[protocol.Asks], None]) -> list[Sheet]:
        """Wait for delegations; ``asks`` hears of those that ask something meanwhile."""

        def note(method: str, params: msgspec.Raw) -> None:
            if method == protocol.ASKS:
                asks(msgspec.json.decode(params, type=protocol.Asks))

        limit = awaited.limit_s + LOOK_LIMIT_S
        with self._explained():
            return self._caller.call(protocol.WAIT, awaited, list[Sheet], limit, note)

    def delegate(self, directory: str, order: Order) -> Sheet:
        """Make a delegation in a directory that the process has open."""
        ordered = protocol.Ordered(directory=directory, order=order)
        return self._call(protocol.DELEGATE, ordered, Sheet, ACT_LIMIT_S)

    def _call(
        self, method: str, params: object, answer: type[T], limit_s: float = LOOK_LIMIT_S
    ) -> T:
        with self._explained():
            return self._caller.call(method, params, answer, limit_s)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what an error on the way means to whoever has called."""
        try:
            yield
        except NoAnswer as error:
            raise NotServed(
                f"The service at {self._path} does not answer; whether anything was done is not "
                "known, so look with `background-agents status`."
            ) from error
        except RpcError as error:
            raise _explained(error, self._path) from error


def _connect(connected: socket.socket, name: str) -> None:
    """Connect; where many knock at once, wait for a place in the queue. Raises ``OSError``."""
    deadline = time.monotonic() + LOOK_LIMIT_S
    while True:
        try:
            connected.connect(name)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(KNOCK_AGAIN_S)  # nobody is told when there is a place
        else:
            return


def all_of(data_root: Path) -> Iterator[Connection]:
    """Yield every living service of this user, the youngest first; close each after use."""
    for path in reversed(places.living(data_root)):
        try:
            yield Connection.at(path)
        except NotServed:
            continue  # it has just ended, or not yet begun to listen


def _which(project: str, delegation: str) -> protocol.Which:
    return protocol.Which(project=project, id=delegation)


def _explained(error: RpcError, path: Path) -> DelegationError:
    if error.code == protocol.REFUSED:
        return InvalidRequest(error.message)
    if error.code == protocol.NOT_HERE:
        return NotServed(error.message)
    if error.code == CLOSED:
        return NotServed(
            f"The service at {path} has ended meanwhile; `background-agents status` shows who goes "
            "on with what it ran."
        )
    return NotServed(f"The service at {path} could not do it: {error.message}.")
