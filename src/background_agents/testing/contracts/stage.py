"""What the suites for runtimes and channels need beyond the ports: a user, and mishaps.

Whoever proves an adapter writes a ``Stage`` for it; ``Heard`` keeps what the runtime tells.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from random import Random
from typing import Protocol, TypeVar

import msgspec

from background_agents.domain.ids import SortableIds
from background_agents.domain.transcript import Message
from background_agents.ports import runtime as port
from background_agents.ports.supervisor import SupervisorChannel
from background_agents.testing.scripts import script
from background_agents.testing.waiting import Changes

E = TypeVar("E", bound=port.RuntimeEvent)

MODEL = "scripted/one"
OTHER_MODEL = "scripted/two"
AGENT = "build"
OTHER_AGENT = "plan"

_ids = SortableIds(Random())


def mint(prefix: str) -> str:
    """Return a new id as the service mints them."""
    return _ids.mint(prefix, datetime.now(UTC))


class StoredPart(msgspec.Struct, frozen=True):
    """A part of a message as the runtime stores it; hidden ones are for the model only."""

    id: str
    text: str
    hidden: bool


class StoredMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as the runtime stores it."""

    id: str
    role: str
    agent: str | None
    model: str | None
    answers: str | None
    parts: tuple[StoredPart, ...]


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """What runtimes do each in their way, within what the ports allow."""

    shell: str = "bash"
    """The tool that runs commands, and its permission; scripts call it ``bash`` in any case."""
    asking_agent: str = AGENT
    """The agent to which ``new_asking_child`` gives its questions."""
    idles: int = 2
    """How often a session goes idle after an abort."""
    has_rules: bool = True
    """Sessions have rules of their own; else their host hides from agents what they are denied."""
    takes_back: bool = False
    """An abort takes back what was asked, and tells so."""


class Stage(Protocol):
    """A runtime with a channel, and a user who can be made to do things.

    The runtime has the agents ``build`` and ``plan`` and the models ``scripted/one`` and
    ``scripted/two``, all of which play the scripts in their prompts.
    """

    @property
    def runtime(self) -> port.AgentRuntime:
        """The runtime to prove."""

    @property
    def channel(self) -> SupervisorChannel:
        """The channel to prove."""

    @property
    def ways(self) -> Ways:
        """What the runtime does in its own way."""

    async def new_session(self) -> str:
        """Create a root session."""

    async def new_asking_child(self) -> str:
        """Open a session below a new root in which ``bash`` needs a permission.

        The tool ``question`` is offered there. It may take the ``asking_agent`` for it.
        """

    async def user_says(self, session: str, text: str, *, agent: str, model: str) -> str:
        """Send a message as the session's user, and return its id."""

    async def stored(self, session: str) -> list[StoredMessage]:
        """Return the session's messages, looked up without the adapter."""

    async def user_undoes(self, session: str, message: str) -> None:
        """Take back a message of a session, and all after it, as its user does."""

    async def user_redoes(self, session: str) -> None:
        """Bring back what was undone, as the session's user does."""

    async def delete_session(self, session: str) -> None:
        """Delete a session as its user does."""

    def broken(self) -> AbstractAsyncContextManager[None]:
        """Lose events within the block; the stream is restored at its end."""

    async def begin_anew(self) -> None:
        """Let the runtime end, with what runs in it, and begin anew; its sessions stay."""

    def unreachable(self) -> AbstractAsyncContextManager[port.AgentRuntime]:
        """Give a runtime that answers no longer."""


class Heard:
    """Everything that a runtime told since this began to listen."""

    def __init__(self) -> None:
        self.events: list[port.RuntimeEvent] = []
        self._changes = Changes()

    def hear(self, event: port.RuntimeEvent) -> None:
        """Take an event."""
        self.events.append(event)
        self._changes.tell()

    def of(self, session: str, kind: type[E]) -> list[E]:
        """Return the events of one kind that a session had."""
        return [one for one in self.events if isinstance(one, kind) and one.session == session]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once ``holds`` does, looking again at each event."""
        await self._changes.until(holds)

    async def first(self, session: str, kind: type[E]) -> E:
        """Return the first event of one kind that a session has had, once there is one."""
        await self.until(lambda: bool(self.of(session, kind)))
        return self.of(session, kind)[0]

    async def changed(self, session: str, holds: Callable[[Message], object]) -> None:
        """Return once a message of the session was told as one of which that holds."""
        await self.until(
            lambda: any(holds(one.message) for one in self.of(session, port.MessageChanged))
        )

    async def idle(self, session: str, times: int = 1) -> None:
        """Return once the session has gone idle so many times."""
        await self.until(lambda: len(self.of(session, port.Idle)) >= times)

    async def answered(self, session: str) -> None:
        """Return once an answer in the session is finished and the session idle."""
        await self.changed(session, lambda message: message.finished)
        after = self._position(session) + 1
        await self.until(lambda: any(self._is_idle(e, session) for e in self.events[after:]))

    async def aborted(self, session: str) -> None:
        """Return once an aborted answer of the session was flushed."""
        await self.changed(session, lambda message: message.aborted)

    def works(self, session: str) -> bool:
        """Whether the newest answer of the session is still being written."""
        changed = self.of(session, port.MessageChanged)
        newest = next((m.message for m in reversed(changed) if m.message.answers), None)
        return newest is not None and not newest.finished and newest.error is None

    def has_answer_to(self, message: str, *, finished: bool = False) -> bool:
        """Whether an answer to the message was begun, or is even finished."""
        return any(
            isinstance(event, port.MessageChanged)
            and event.message.answers == message
            and (event.message.finished or not finished)
            for event in self.events
        )

    def _position(self, session: str) -> int:
        return max(
            index
            for index, event in enumerate(self.events)
            if event.session == session
            and isinstance(event, port.MessageChanged)
            and event.message.finished
        )

    @staticmethod
    def _is_idle(event: port.RuntimeEvent, session: str) -> bool:
        return isinstance(event, port.Idle) and event.session == session


@contextmanager
def listening(runtime: port.AgentRuntime) -> Iterator[Heard]:
    """Listen to a runtime within the block."""
    heard = Heard()
    undo = runtime.subscribe(heard.hear)
    try:
        yield heard
    finally:
        undo()


async def new_child(stage: Stage, *, denied: tuple[str, ...] = ()) -> str:
    """Open a session below a new root session."""
    root = await stage.new_session()
    order = port.SessionOrder(parent=root, title="A child", denied_tools=denied)
    return await stage.runtime.open_session(order)


@asynccontextmanager
async def running(stage: Stage, *steps: Mapping[str, object]) -> AsyncIterator[tuple[str, Heard]]:
    """Begin a script in a new child session, and listen within the block."""
    child = await new_child(stage)
    with listening(stage.runtime) as heard:
        await stage.runtime.prompt(child, prompt(script(*steps)))
        yield child, heard


def prompt(
    text: str, *, message: str | None = None, agent: str = AGENT, model: str | None = MODEL
) -> port.Prompt:
    """Return a prompt, under a new id unless one is given."""
    return port.Prompt(message=message or mint("msg"), text=text, agent=agent, model=model)
