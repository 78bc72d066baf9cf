"""What the service needs from the world: five protocols, each with its behaviour in words.

Every implementation, fake or real, passes the suite for its port in
``background_agents.testing.contracts``. Nothing here knows OpenCode or SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import msgspec

from background_agents.domain.asking import Ask, Reply
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import DelegationError
from background_agents.domain.events import Event, Registered
from background_agents.domain.notice import Notice
from background_agents.domain.status import Status
from background_agents.domain.transcript import Message, Transcript

# --- the runtime -----------------------------------------------------------


class Agent(msgspec.Struct, frozen=True):
    """An agent that the runtime offers."""

    name: str
    description: str = ""
    delegable: bool = True
    """False for agents that only the runtime itself uses (titles, compaction)."""
    model: str | None = None
    """The ``provider/model-id`` that it uses when a prompt names none; None if that is not told."""
    read_only: bool = False
    """Its effective permissions let it neither edit, nor write, nor run commands, nor call any of
    the ``unknown_tools``."""
    unknown_tools: tuple[str, ...] = ()
    """What alone keeps it from being read-only: tools of which it is not known that they only
    read. Looked for in strict mode. ``*`` stands for any end of a name."""
    may_edit: bool = True
    """Its effective permissions let it edit files; commands are another matter."""


class Leave(msgspec.Struct, frozen=True):
    """What the runtime's own rules say of a session's wish to run an agent."""

    denied_by: str = ""
    """The permission whose rules deny it."""
    ask: str = ""
    """The permission that the runtime's user is to be asked for before."""
    planning: bool = False
    """The session is there to plan: nobody may edit on its behalf."""


class SessionOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A session to be created."""

    parent: str | None
    """The session that it is a child of; None for one that stands for itself."""
    title: str
    denied_tools: tuple[str, ...] = ()
    """Tools that agents in the session never get."""
    allowed_tools: tuple[str, ...] = ()
    """Tools that they get although others do not."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """A user message that starts or goes on with a run."""

    message: str
    """Its id, minted by the caller: sending the same id again changes nothing."""
    text: str
    agent: str
    model: str | None = None
    """``provider/model-id``; None leaves it to the agent's own default."""


class RuntimeEvent(msgspec.Struct, frozen=True):
    """Something seen in a session."""

    session: str


class Busy(RuntimeEvent, frozen=True):
    """The session works."""


class Idle(RuntimeEvent, frozen=True):
    """The session has nothing left to do. After an abort more than one may come."""


class Retrying(RuntimeEvent, frozen=True):
    """The provider refused for now; the runtime tries again by itself."""

    attempt: int
    message: str
    next_at: datetime | None


class RunFailed(RuntimeEvent, frozen=True):
    """The run ended by an error. It may be the only trace: the transcript can lack it."""

    message: str
    aborted: bool
    """Somebody aborted it; or the runtime itself, because it ends or begins anew. Who asks then
    finds out: after its own end it does not answer, or has told ``StreamRestored`` before."""


class MessageChanged(RuntimeEvent, frozen=True):
    """A message of the session was stored or changed."""

    message: Message


class TextStreamed(RuntimeEvent, frozen=True):
    """The assistant wrote something; also the sign of life."""

    whole: bool = False
    """A text has come to its end, and nothing came after it: most likely the last word."""


class InputAsked(RuntimeEvent, frozen=True):
    """The session waits for a permission or an answer."""

    ask: Ask


class InputSettled(RuntimeEvent, frozen=True):
    """A request of the session was answered, by whomever."""

    request: str
    reply: Reply


class UndoChanged(RuntimeEvent, frozen=True):
    """The session's user has undone messages, or brought them back.

    It is not told when the user goes on without them: the message tells that.
    """

    undone: bool


class SessionDeleted(RuntimeEvent, frozen=True):
    """The session and its messages are gone."""


class StreamRestored(RuntimeEvent, frozen=True):
    """Events may have been lost; whoever follows a session looks at it again.

    The runtime may have ended and begun anew meanwhile, and what ran with it. ``session`` is
    empty: it concerns all.
    """


Listener = Callable[[RuntimeEvent], None]


class NotAsked(DelegationError):
    """The request is open no longer: it was answered already, or whoever asked is gone."""


class RunState(msgspec.Struct, frozen=True):
    """What the runtime says of a session when asked."""

    exists: bool
    busy: bool
    undone: bool = False
    """Its user has undone messages there and can bring them back, until one is sent to it."""


class AgentRuntime(Protocol):
    """Runs agents in sessions.

    Every coroutine raises ``RuntimeRefused`` when the runtime said no and
    ``RuntimeUnreachable`` when it did not answer.
    """

    @property
    def ends_with_turn(self) -> bool:
        """Whether it ends when the turn does for which its user started it.

        What was delegated by then is cut off, and goes on when it is started again.
        """
        ...

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` for every event, in order, on the event loop; return the undo."""
        ...

    async def agents(self, *, refresh: bool = False) -> Sequence[Agent]:
        """Return the agents; from memory unless ``refresh`` or nothing is known yet."""
        ...

    async def leave(self, session: str, by: str, agent: str) -> Leave:
        """Return whether the rules let ``session``, where ``by`` is at work, run ``agent``.

        The session's rules are asked for each time: its user may change them at any moment.
        """
        ...

    async def lineage(self, session: str) -> tuple[str, ...]:
        """Return ``session``, its parent, and so on up to its root session."""
        ...

    def ancestors(self, session: str) -> tuple[str, ...]:
        """Return ``session`` and those above it as far as they are known; nobody is asked."""
        ...

    async def below(self, session: str) -> Sequence[str]:
        """Return the sessions below ``session``, all the way down."""
        ...

    async def open_session(self, order: SessionOrder) -> str:
        """Create a session and return its id. Nothing runs in it yet.

        What its parent's own rules deny, it is denied too.
        """
        ...

    async def reopen_session(self, session: str, order: SessionOrder) -> None:
        """Make a session that was opened earlier as one that is opened now by ``order``.

        Its title stays, and what it was denied it is still denied.
        """
        ...

    async def prompt(self, session: str, prompt: Prompt) -> None:
        """Hand a prompt to a session; return once it is accepted.

        From here on the session's transcript is kept until ``release``. On a busy
        session the running loop takes the prompt up at its next step. Raises
        ``MessagesUndone`` as ``SupervisorChannel.deliver`` does.
        """
        ...

    async def requests(self) -> Sequence[Ask]:
        """Return what sessions wait for now. Not used in the normal path."""
        ...

    async def answer(self, ask: Ask, reply: Reply) -> None:
        """Answer what a session waits for; return once that is accepted. Raises ``NotAsked``.

        A permission that is granted ``always`` holds for all sessions. A rejection without
        a reason ends the run; one with a reason may let it go on.
        """
        ...

    async def abort(self, session: str) -> None:
        """Ask the session to stop what it is doing; return once that is accepted."""
        ...

    async def state(self, session: str) -> RunState:
        """Ask whether the session exists and works. Not used in the normal path."""
        ...

    async def transcript(self, session: str, *, refresh: bool = False) -> Transcript:
        """Return what is known of the session's messages, to the last streamed token.

        From memory for a session that was prompted and not released; with ``refresh``
        it is asked for first. What was streamed but never stored is kept.
        """
        ...

    async def delegated_in(self, session: str) -> frozenset[str]:
        """Return the ids that ``delegate`` has answered in the session's transcript.

        Also where that was copied, with a session, from the one that delegated. Only what tools
        have stored counts; what a model or a person has written names nothing.
        """
        ...

    def being_written(self, session: str) -> Message | None:
        """Return the newest answer, if it is not finished, as far as it is known."""
        ...

    def release(self, session: str) -> None:
        """Forget the session's transcript; the session itself stays."""
        ...

    async def describe(self, prompt: str, result: str, parent: str) -> tuple[str, str] | None:
        """Let a small model write a title and a summary; None where none is configured."""
        ...


# --- the supervisor --------------------------------------------------------


class OutgoingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message to a supervisor that carries one or more notices."""

    session: str
    message: str
    parts: tuple[tuple[str, str], ...]
    """Pairs of part id and text."""
    wakes: bool = True
    """Whether a supervisor that rests is to take it up at once."""


class SupervisorGone(DelegationError):
    """The supervisor's session no longer exists."""


class SupervisorChannel(Protocol):
    """Reaches a supervisor's model and its human."""

    async def deliver(self, message: OutgoingMessage) -> None:
        """Put the message into the supervisor's transcript, hidden from the human.

        Returns when it was seen there. An idle supervisor wakes, unless its user
        stopped it or the message wakes nobody; then it is read with the next turn.
        Delivering the same ids again leaves one copy. Raises ``SupervisorGone``,
        ``RuntimeRefused`` or ``RuntimeUnreachable``; and ``MessagesUndone`` while its user
        has undone messages, which the message would make final: not now, but once they are
        back, or the user went on without them.
        """
        ...

    async def make_sure_nothing_is_undone(self, session: str) -> None:
        """Raise ``MessagesUndone`` if ``deliver`` would; asks only where events have not told."""
        ...

    async def toast(self, title: str, message: str, variant: str) -> None:
        """Show the human a short message; ``variant`` is info, success, warning or error."""
        ...


# --- storage ---------------------------------------------------------------


class IdTaken(DelegationError):
    """Another delegation already has this id."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A move of one delegation, to be stored as a whole or not at all."""

    after: Delegation
    events: tuple[Event, ...]
    """What led from the stored version to ``after``, in order."""
    notices: tuple[Notice, ...] = ()
    """What the same commit puts into the outbox."""

    @property
    def expected_version(self) -> int:
        return self.after.version - len(self.events)


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Text that a running agent has streamed, beginning at a character of its message."""

    delegation: str
    message: str
    start: int
    text: str


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The claim of a process to the delegations that it owns."""

    owner: str
    host: str
    """The process whose agents it supervises."""
    boot: str
    """The run of the machine in which ``renewed_s`` means something."""
    renewed_s: float
    """When it was renewed last, as ``Clock.monotonic_s`` says."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What a list shows of a delegation."""

    id: str
    title: str
    agent: str
    status: Status
    summary: str
    registered_at: datetime
    ended_at: datetime | None
    read_at: datetime | None
    is_cut: bool = False
    """The model did not end its answer by itself, so that it may not be whole."""

    @classmethod
    def of(cls, one: Delegation) -> Line:
        """Return the line of a delegation."""
        return cls(
            id=one.id,
            title=one.title,
            agent=one.agent,
            status=one.status,
            summary=one.summary,
            registered_at=one.registered_at,
            ended_at=one.ended_at,
            read_at=one.read_at,
            is_cut=one.cut is not None,
        )


class DelegationStore(Protocol):
    """Keeps records, events and the outbox of one project. Every commit is durable on return.

    Raises ``StoreUnavailable`` when the storage fails; nothing is then half stored.
    """

    async def register(self, event: Registered) -> Delegation:
        """Store a new delegation. Raises ``IdTaken``."""
        ...

    async def commit(self, change: Change) -> None:
        """Store a change. Raises ``StaleVersion`` when the stored version is another."""
        ...

    async def keep(self, pieces: Sequence[Piece]) -> None:
        """Store what running agents have streamed; it goes when their delegation ends."""
        ...

    async def kept(self, delegation: str) -> Mapping[str, str]:
        """Return the text that was kept of each message of a running delegation."""
        ...

    async def find(self, delegation: str, root_session: str) -> Delegation | None:
        """Return the delegation if it belongs to ``root_session``."""
        ...

    async def get(self, delegation: str) -> Delegation | None:
        """Return the delegation, whosever it is. Not for what a model asks."""
        ...

    async def with_session(self, session: str) -> Delegation | None:
        """Return the newest delegation that ran in this child session."""
        ...

    async def page(self, root_session: str, limit: int) -> tuple[list[Line], int]:
        """Return the newest ``limit`` lines of a root session, and how many it has in all."""
        ...

    async def unfinished(self) -> list[Delegation]:
        """Return every delegation that is not terminal, oldest first."""
        ...

    async def remaining(self, supervisor: str) -> int:
        """Count the delegations of this supervisor session that are not terminal."""
        ...

    async def history(self, delegation: str) -> list[Event]:
        """Return all events of a delegation, oldest first."""
        ...

    async def due(self, supervisor: str | None = None) -> list[Notice]:
        """Return the notices that are neither confirmed nor dropped, oldest first."""
        ...

    async def assign(self, notices: Sequence[Notice]) -> list[Notice]:
        """Store message id and text of notices that are about to be sent.

        The first assignment of a notice counts. Returns the notices as they now are, so
        that whoever comes second sends the same.
        """
        ...

    async def settle(self, notices: Sequence[Notice]) -> None:
        """Store that notices were confirmed or dropped, by their ``state``."""
        ...

    async def claim(self, lease: Lease) -> None:
        """Store the claim of a process that has begun."""
        ...

    async def renew(self, lease: Lease) -> bool:
        """Store that a process renews its claim; return False if it has none any more."""
        ...

    async def leases(self) -> list[Lease]:
        """Return all claims, those of processes that have ended included."""
        ...

    async def revoke(self, lease: Lease) -> bool:
        """Take a claim away; return False if it was renewed since it was read."""
        ...

    async def close(self) -> None:
        """Finish what was begun and let go of the storage."""
        ...


class ArtifactStore(Protocol):
    """Keeps results as files that people can read, complete without the database."""

    async def write(self, delegation: Delegation, result: str) -> Path:
        """Write the artifact durably and atomically; return where it is."""
        ...

    async def read(self, delegation: Delegation) -> str:
        """Return the whole artifact. Raises ``StoreUnavailable`` when there is none."""
        ...

    def path(self, delegation: Delegation) -> Path:
        """Return where the artifact is, or will be."""
        ...

    def folder(self, root_session: str) -> Path:
        """Return the folder that holds a root session's artifacts."""
        ...


# --- time ------------------------------------------------------------------


class Timer(Protocol):
    """A call that will be made later."""

    def cancel(self) -> None:
        """Do not make it."""
        ...


class Clock(Protocol):
    """Time as the service knows it."""

    def now(self) -> datetime:
        """Return the present, in UTC."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds since some moment, the same for all processes of the machine.

        A stepped wall clock does not change it, and the time that the machine sleeps does
        not count.
        """
        ...

    def call_later(self, delay: timedelta, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` on the event loop after ``delay``, whatever the wall clock does."""
        ...

    async def sleep(self, delay: timedelta) -> None:
        """Return after ``delay``."""
        ...
