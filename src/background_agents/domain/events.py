"""What can happen to a delegation.

Each event is a fact with its time: frozen, encodable, and kept in the store in the
order in which it happened. Where an event leads is ``status.TRANSITIONS``'s business.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from background_agents.domain.actor import Actor
from background_agents.domain.asking import Ask
from background_agents.domain.changes import Changes
from background_agents.domain.limits import Limits, Reached


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """A fact about one delegation; ``at`` is when it happened, in UTC."""

    at: datetime


class Usage(msgspec.Struct, frozen=True):
    """What a run has used so far, as its runtime reports it."""

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0
    tool_calls: int = 0
    turns: int = 0
    """Calls of a model that have begun."""
    unpriced_turns: int = 0
    """Those of which the runtime knows no price; their cost is 0 here, and is not 0."""

    @property
    def counted_tokens(self) -> int:
        """What a limit counts: all but those that were read from a cache."""
        written = self.output_tokens + self.reasoning_tokens
        return self.input_tokens + self.cache_write_tokens + written

    @property
    def tokens(self) -> int:
        """All tokens together."""
        cached = self.cache_read_tokens + self.cache_write_tokens
        return self.input_tokens + self.output_tokens + self.reasoning_tokens + cached


FIRST_RUNTIME = "opencode-1"
"""What ran all delegations before it was stored what does."""


class Registered(Event, frozen=True, kw_only=True, tag=True):
    """The delegation exists durably; nothing runs yet."""

    id: str
    project: str
    directory: str
    root_session: str
    parent_session: str
    prompt: str
    agent: str
    title: str
    owner: str
    """The process that supervises it; ``Resumed`` names the next one."""
    model: str | None = None
    timeout: timedelta | None = None
    continued_from: str | None = None
    retry_of: str | None = None
    """The delegation that is done once more by this one."""
    supervisor_agent: str = ""
    """The agent whose model asked for it; empty where a person did."""
    runtime: str = FIRST_RUNTIME
    """What runs it, by the name that the runtime has for itself."""
    limits: Limits = Limits()
    """What it may use, with all that is below it."""
    depth: int = 1
    """1 where a conversation delegated it, and one more below each delegation."""
    above: str = ""
    """The delegation whose agent delegated it; empty for a conversation's own."""
    tree: str = ""
    """The delegation whose isolated tree it works in, its own or the one it goes on from; empty
    where it works in ``directory`` itself."""


class Launched(Event, frozen=True, kw_only=True, tag=True):
    """Its child session has accepted the prompt."""

    session: str
    message: str
    """Id of the user message that holds the prompt."""


class Progressed(Event, frozen=True, kw_only=True, tag=True):
    """What it has used so far; told now and then where other processes count it, too."""

    usage: Usage


class ToolCalled(Event, frozen=True, kw_only=True, tag=True):
    """The child called a tool. Nobody writes it any more; old databases hold it."""

    tool: str
    title: str = ""


class InputRequested(Event, frozen=True, kw_only=True, tag=True):
    """The child, or a session below it, waits for a permission or an answer."""

    ask: Ask


class InputAnswered(Event, frozen=True, kw_only=True, tag=True):
    """An open request was answered, or is open no longer."""

    request: str
    reply: str
    by: str
    """An ``Actor``."""


class ParentNotified(Event, frozen=True, kw_only=True, tag=True):
    """The child told its supervisor something, and goes on."""

    text: str
    kept: bool = False
    """It has spoken often lately: this one waits for ``KeptTold``, or for the end."""


class KeptTold(Event, frozen=True, kw_only=True, tag=True):
    """What was kept of its messages was put into one notice."""


class SteerSent(Event, frozen=True, kw_only=True, tag=True):
    """An instruction was put into the current run."""

    steer: str
    """Message id of the instruction."""
    text: str
    by: str = Actor.SUPERVISOR


class SteerConfirmed(Event, frozen=True, kw_only=True, tag=True):
    """The child's transcript shows that it took the instruction up."""

    steer: str


class Annotated(Event, frozen=True, kw_only=True, tag=True):
    """A person has given it labels or a note, for themselves; ``labels`` and ``note`` are all."""

    labels: tuple[str, ...]
    note: str
    by: str


class Extended(Event, frozen=True, kw_only=True, tag=True):
    """It was given more time, or all that it needs."""

    more: timedelta | None
    """None: it has no time limit from now on."""
    by: str


class LimitReached(Event, frozen=True, kw_only=True, tag=True):
    """It has used up what it may: its tools are refused, and it ends soon."""

    reached: Reached


class StopRequested(Event, frozen=True, kw_only=True, tag=True):
    """Somebody asked for the end of the run; the run itself ends later."""

    by: str
    why: str = ""
    """In one line, where that does not follow from who asks."""


class Ended(Event, frozen=True, kw_only=True):
    """What the five endings share."""

    summary: str
    title: str = ""
    """A better title than the one made from the prompt, if any."""
    usage: Usage = Usage()
    result_chars: int = 0
    models: tuple[str, ...] = ()
    """Those that answered, as ``Transcript.models``."""
    ran_for: timedelta | None = None
    """How long it took, whatever the wall clock did; None in an event of before it was told."""
    changes: Changes = Changes()
    tools_for: timedelta | None = None
    """For how long of that at least one tool was at work, or waited for a permission or an answer;
    None in an event of before it was told."""


class Completed(Ended, frozen=True, kw_only=True, tag=True):
    """The run finished and gave its result."""

    cut: str | None = None
    """Why the result may not be whole, as ``Transcript.cut``."""


class CutShort(Ended, frozen=True, kw_only=True):
    """What the endings share that give no whole result."""

    error: str


class Failed(CutShort, frozen=True, kw_only=True, tag=True):
    """The run ended by an error."""


class TimedOut(CutShort, frozen=True, kw_only=True, tag=True):
    """The time window ran out."""


class Stopped(CutShort, frozen=True, kw_only=True, tag=True):
    """The run was ended on request, or from outside."""


class Interrupted(CutShort, frozen=True, kw_only=True, tag=True):
    """The process that ran it died, and it was not resumed."""


class Resumed(Event, frozen=True, kw_only=True, tag=True):
    """Another process took the delegation over after its owner's end."""

    owner: str


class Relaunched(Event, frozen=True, kw_only=True, tag=True):
    """The run was cut off with the process that hosted it, and is told to go on."""

    message: str
    """Id of the user message that tells it so."""


class Described(Event, frozen=True, kw_only=True, tag=True):
    """A small model gave a better title and summary, after the end."""

    title: str
    summary: str


class ChangesMade(Event, frozen=True, kw_only=True, tag=True):
    """What a delegation that has ended has changed is other than before: undone, or redone."""

    changes: Changes
    """All that stands of it by now."""


class Read(Event, frozen=True, kw_only=True, tag=True):
    """The supervisor read the artifact; or the person did who had delegated it in a terminal."""


class NoticeQueued(Event, frozen=True, kw_only=True, tag=True):
    """A notice was committed to the outbox."""

    notice: str


class NoticeConfirmed(Event, frozen=True, kw_only=True, tag=True):
    """The notice was seen in the supervisor's transcript."""

    notice: str


AnyEvent = (
    Registered
    | Launched
    | Progressed
    | ToolCalled
    | InputRequested
    | InputAnswered
    | ParentNotified
    | KeptTold
    | SteerSent
    | SteerConfirmed
    | Annotated
    | Extended
    | LimitReached
    | StopRequested
    | Completed
    | Failed
    | TimedOut
    | Stopped
    | Interrupted
    | Resumed
    | Relaunched
    | Described
    | ChangesMade
    | Read
    | NoticeQueued
    | NoticeConfirmed
)
"""Every kind of event; what a stored event decodes to."""
