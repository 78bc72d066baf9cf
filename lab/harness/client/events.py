"""What happens in an OpenCode, as tests wait for it: facts that every line knows.

Each line's client reads its own events into these, so a test need not know which it runs on.
The events as they came stay beside them, for tests about one line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

EVENT_TIMEOUT_S = 40.0
"""How long tests wait for something that takes a second at most, on a machine that is busy."""


@dataclass(frozen=True)
class Fact:
    """Something that has happened in a session."""

    session: str


@dataclass(frozen=True)
class Busy(Fact):
    """It works; said again and again by some lines."""


@dataclass(frozen=True)
class Failed(Fact):
    """What it did has failed for good, and came to rest or will."""

    why: str


@dataclass(frozen=True)
class Idle(Fact):
    """Nothing runs in it any more, be that an end, an error or an interruption."""


@dataclass(frozen=True)
class Answered(Fact):
    """Its model has ended its turn, and had taken up these messages."""

    messages: frozenset[str]


@dataclass(frozen=True)
class Named(Fact):
    """It has a title, be it new or another one."""

    title: str


@dataclass(frozen=True)
class Deleted(Fact):
    parent: str | None


@dataclass(frozen=True)
class TextStored(Fact):
    """A message of a human or a program is in the session, taken up or not."""

    message: str
    part: str
    text: str
    hidden: bool
    """Not shown to the human."""


@dataclass(frozen=True)
class TextGrew(Fact):
    """A model has written some more."""

    part: str
    text: str


@dataclass(frozen=True)
class TextEnded(Fact):
    """A model has said this."""

    text: str


@dataclass(frozen=True)
class Shown(Fact):
    """The human is shown this line: OpenCode 1 has toasts, which belong to no session."""

    text: str


@dataclass(frozen=True)
class ToolRuns(Fact):
    tool: str
    input: Mapping[str, object]


@dataclass(frozen=True)
class ToolEnded(Fact):
    part: str
    """Later calls have higher ones."""
    tool: str
    input: Mapping[str, object]
    output: str
    """Or why it failed."""
    failed: bool
    took_ms: float
    """By OpenCode's own clock, in whole milliseconds."""


@dataclass(frozen=True)
class Asked(Fact):
    """It waits for a permission."""

    request: str
    permission: str
    patterns: tuple[str, ...]


@dataclass(frozen=True)
class Settled(Fact):
    """A permission was given or refused."""


@dataclass(frozen=True)
class Retrying(Fact):
    attempt: int
    why: str


@dataclass(frozen=True)
class Seen:
    """An event, and when it arrived (``time.monotonic()`` seconds)."""

    at_s: float
    type: str
    properties: Mapping[str, object]
    session: str | None
    """The session it concerns."""
    facts: tuple[Fact, ...] = ()


F = TypeVar("F", bound=Fact)

Reader = Callable[[bytes], Seen | None]
"""Reads an event, which is JSON; None for one that is of no concern here."""


@dataclass
class Events:
    """The events of a project since the stream was opened, oldest first."""

    seen: list[Seen] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _ended: bool = False
    _unread: msgspec.MsgspecError | None = None
    """Why an event could not be read: it has another form than is known here."""

    def mark(self) -> int:
        """Return a position, so that a later wait looks only at what came after it."""
        return len(self.seen)

    def facts(self, kind: type[F], *, since: int = 0) -> list[F]:
        """Return the facts of a kind from position ``since`` on, oldest first."""
        return [one for seen in self.seen[since:] for one in seen.facts if isinstance(one, kind)]

    async def wait_for(
        self, wanted: Callable[[Seen], bool], *, since: int = 0, timeout_s: float = EVENT_TIMEOUT_S
    ) -> Seen:
        """Return the first event from position ``since`` on for which ``wanted`` holds.

        Raises:
            TimeoutError: There was none within ``timeout_s`` seconds.
            ConnectionError: The stream ended before it came.
            MsgspecError: An event was not understood before it came.
        """
        position = since
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                while True:
                    for seen in self.seen[position:]:
                        if wanted(seen):
                            return seen
                    position = len(self.seen)
                    if self._ended:
                        raise self._unread or ConnectionError(self._end())
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"Not seen in {timeout_s:g} s. {self._recent()}") from None

    async def fact(
        self,
        kind: type[F],
        wanted: Callable[[F], bool] = lambda _: True,
        *,
        since: int = 0,
        timeout_s: float = EVENT_TIMEOUT_S,
    ) -> F:
        """Return the first fact of a kind for which ``wanted`` holds; see ``wait_for``."""

        def first(seen: Seen) -> F | None:
            found = (one for one in seen.facts if isinstance(one, kind) and wanted(one))
            return next(found, None)

        found = first(await self.wait_for(lambda seen: first(seen) is not None, since=since,
                                          timeout_s=timeout_s))  # fmt: skip
        assert found is not None
        return found

    async def wait_idle(
        self, session: str, *, since: int = 0, timeout_s: float = EVENT_TIMEOUT_S
    ) -> None:
        """Return once a session has come to rest, from position ``since`` on."""
        await self.fact(Idle, lambda one: one.session == session, since=since, timeout_s=timeout_s)

    def _end(self) -> str:
        return f"The event stream ended. {self._recent()}"

    def _recent(self) -> str:
        return "The newest events: " + ", ".join(seen.type for seen in self.seen[-15:])

    async def follow(self, chunks: AsyncIterable[bytes], read: Reader) -> None:
        """Take what a stream of server-sent events brings, until it ends."""
        buffer = b""
        try:
            async for chunk in chunks:
                # Not by lines: an event may be larger than a reader's limit for one.
                *whole, buffer = (buffer + chunk).split(b"\n\n")
                texts = (text for text in whole if text.startswith(b"data:"))
                await self._add(read(text.removeprefix(b"data:")) for text in texts)
        except msgspec.MsgspecError as error:
            self._unread = error
        finally:
            self._ended = True
            await self._add([])

    async def _add(self, events: Iterable[Seen | None]) -> None:
        async with self._changed:
            self.seen.extend(seen for seen in events if seen is not None)
            self._changed.notify_all()


def now_s() -> float:
    """Return the moment that an event arrives at."""
    return time.monotonic()
