"""What runs agents: sessions, prompts, what is heard of them, and what it says when asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from background_agents.domain.asking import Ask, Reply
from background_agents.domain.transcript import Message, Transcript


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
    may_edit: bool = True
    """The agent that wishes it may edit files itself, be it after a question."""
    ask_to_edit: bool = False
    """The runtime's user is to be asked before it edits a file."""


class SessionOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A session to be created."""

    parent: str | None
    """The session that it is a child of; None for one that stands for itself."""
    title: str
    agent: str | None = None
    """Who will work in it, where that is known; a prompt says so in any case."""
    denied_tools: tuple[str, ...] = ()
    """Tools that agents in the session never get."""
    allowed_tools: tuple[str, ...] = ()
    """Tools that they get although others do not."""
    directory: str = ""
    """Where its agent works; empty for where the runtime itself does."""
    off_limits: str = ""
    """A folder that the agent is to stay out of, as far as the runtime can see to that."""


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
    def name(self) -> str:
        """What delegations that it runs are stored under. Sessions of others are not its own."""

    @property
    def ends_with_turn(self) -> bool:
        """Whether it ends when the turn does for which its user started it.

        What was delegated by then is cut off, and goes on when it is started again.
        """

    @property
    def shows_what_children_ask(self) -> bool:
        """Whether a supervisor's view asks its user for what the sessions right below it want."""

    @property
    def native_tool(self) -> str:
        """The tool by which its models run agents themselves, and wait for them."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` for every event, in order, on the event loop; return the undo."""

    async def agents(self, *, refresh: bool = False) -> Sequence[Agent]:
        """Return the agents; from memory unless ``refresh`` or nothing is known yet."""

    async def leave(self, session: str, by: str, agent: str, *, native: bool = True) -> Leave:
        """Return whether the rules let ``session``, where ``by`` is at work, run ``agent``.

        The session's rules are asked for each time: its user may change them at any moment.
        Without ``native`` only the rules for ``delegate`` count, and not those for the native tool.
        """

    async def lineage(self, session: str) -> tuple[str, ...]:
        """Return ``session``, its parent, and so on up to its root session."""

    def ancestors(self, session: str) -> tuple[str, ...]:
        """Return ``session`` and those above it as far as they are known; nobody is asked."""

    async def below(self, session: str) -> Sequence[str]:
        """Return the sessions below ``session``, all the way down."""

    async def open_session(self, order: SessionOrder) -> str:
        """Create a session and return its id. Nothing runs in it yet.

        What its parent's own rules deny, it is denied too.
        """

    async def reopen_session(self, session: str, order: SessionOrder) -> None:
        """Make a session that was opened earlier as one that is opened now by ``order``.

        Its title stays, and what it was denied it is still denied.
        """

    def works_in(self, session: str, directory: str) -> None:
        """Remember that a session was opened for another directory than the runtime's own.

        For whoever knows that from before the runtime, or its process, began.
        """

    async def close_directory(self, directory: str) -> None:
        """Let go of what the runtime keeps for a directory in which nothing runs any more."""

    async def prompt(self, session: str, prompt: Prompt) -> None:
        """Hand a prompt to a session; return once it is accepted.

        From here on the session's transcript is kept until ``release``. On a busy
        session the running loop takes the prompt up at its next step. Raises
        ``MessagesUndone`` as ``SupervisorChannel.deliver`` does.
        """

    async def requests(self) -> Sequence[Ask]:
        """Return what sessions wait for now. Not used in the normal path."""

    async def answer(self, ask: Ask, reply: Reply) -> None:
        """Answer what a session waits for; return once that is accepted. Raises ``NotAsked``.

        A permission that is granted ``always`` holds for all sessions. A rejection without
        a reason ends the run; one with a reason may let it go on.
        """

    async def abort(self, session: str) -> None:
        """Ask the session to stop what it is doing; return once that is accepted."""

    async def state(self, session: str) -> RunState:
        """Ask whether the session exists and works. Not used in the normal path."""

    async def transcript(self, session: str, *, refresh: bool = False) -> Transcript:
        """Return what is known of the session's messages, to the last streamed token.

        From memory for a session that was prompted and not released; with ``refresh``
        it is asked for first. What was streamed but never stored is kept.
        """

    async def delegated_in(self, session: str) -> frozenset[str]:
        """Return the ids that ``delegate`` has answered in the session's transcript.

        Also where that was copied, with a session, from the one that delegated. Only what tools
        have stored counts; what a model or a person has written names nothing.
        """

    def being_written(self, session: str) -> Message | None:
        """Return the newest answer, if it is not finished, as far as it is known."""

    def release(self, session: str) -> None:
        """Forget the session's transcript; the session itself stays."""

    def guard(self, session: str, *, on: bool) -> None:
        """Have the host ask us before each tool that the session calls, or no longer."""

    async def describe(self, prompt: str, result: str, parent: str) -> tuple[str, str] | None:
        """Let a small model write a title and a summary; None where none is configured."""
