"""What happened, in order: events in, lines for the screen and the state of each actor out.

Pure, so that it can be asked at any moment what is still to come. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from background_agents.domain.text import title_of
from background_agents.testing.scripts import READABLE_ID
from lab.demo.notices import Notice
from lab.harness.client import Seen
from lab.harness.client import events as ev

SUPERVISOR = "supervisor"
YOU = "you"

SHELLS = ("bash", "shell")
"""What OpenCode calls the tool that runs commands, line by line."""

TAIL_CHARS = 200
"""How much of what an agent writes is kept for its progress line."""


class Kind(Enum):
    """What an entry tells; the screen draws each in its own way."""

    ASKED = auto()
    SAID = auto()
    USED = auto()
    DELEGATED = auto()
    ENDED = auto()
    FAILED = auto()
    NOTICE = auto()
    IDLE = auto()
    WOKEN = auto()


@dataclass(frozen=True)
class Entry:
    """A line of the timeline; ``at_s`` counts from the request."""

    at_s: float
    actor: str
    kind: Kind
    text: str


@dataclass
class Actor:
    """What a session does now, and what it has done."""

    busy: bool = False
    since_s: float = 0.0
    tools: int = 0
    chars: int = 0
    tail: str = ""
    _part: str = ""

    def wrote(self, part: str, text: str) -> None:
        """Take in what the model has just written, which may begin a new text."""
        before = self.tail if part == self._part else ""
        self._part, self.tail = part, (before + text)[-TAIL_CHARS:]
        self.chars += len(text)


@dataclass
class Agent(Actor):
    """A background agent, known by the id of its delegation."""

    id: str = ""
    agent: str = ""
    model: str = ""
    title: str = ""
    call_ms: float = 0.0
    ended: bool = False
    error: str = ""
    notice: Notice | None = None


@dataclass
class Timeline:
    """Everything seen since the request, which was stored at ``start_s``."""

    session: str
    start_s: float
    supervisor: Actor = field(default_factory=Actor)
    agents: dict[str, Agent] = field(default_factory=dict)
    own_steps: int = 0
    """Tool calls that the supervisor made for itself while agents were at work."""
    reads: int = 0
    error: str = ""
    """Why the supervisor's own session failed, if it did."""
    _by_session: dict[str, str] = field(default_factory=dict)
    _shown: set[str] = field(default_factory=set)
    _to_answer: set[str] = field(default_factory=set)
    """The messages that the supervisor's model has not ended a turn for."""
    _has_answered: bool = False

    # --- what is to come ----------------------------------------------------

    @property
    def running(self) -> list[Agent]:
        """The agents whose end the supervisor has not been told."""
        return [agent for agent in self.agents.values() if agent.notice is None]

    @property
    def settled(self) -> bool:
        """Whether the supervisor rests, has answered everything, and waits for nothing."""
        rests = not self.supervisor.busy and not self._to_answer
        return rests and not self.running and self._has_answered

    def awaited(self) -> str:
        """Say what has not happened yet."""
        if not self.agents:
            return "the supervisor has not delegated anything"
        if working := [agent.id for agent in self.agents.values() if not agent.ended]:
            return f"{', '.join(working)} had not ended"
        if self.running:
            return "no notice had come for " + ", ".join(agent.id for agent in self.running)
        return "the supervisor had not finished"

    # --- what happens -------------------------------------------------------

    def take(self, seen: Seen) -> Iterator[Entry]:
        """Take one event in and yield what it adds to the timeline."""
        for fact in seen.facts:
            yield from self._take(fact, seen.at_s - self.start_s)

    def _take(self, fact: ev.Fact, at: float) -> Iterator[Entry]:
        match fact:
            case ev.Named():
                self._named(fact, at)
            case ev.Busy() | ev.Idle():
                yield from self._status(fact, at)
            case ev.Retrying():
                yield from self._retries(fact, at)
            case ev.Failed():
                yield from self._failed(fact, at)
            case ev.Answered() if fact.session == self.session:
                self._to_answer -= fact.messages
                self._has_answered = True
            case ev.TextGrew():
                if (actor := self._actor(fact.session)) is not None:
                    actor.wrote(fact.part, fact.text)
            case ev.TextStored() if fact.session == self.session:
                yield from self._received(fact, at)
            case ev.TextEnded() if fact.session == self.session and fact.text.strip():
                yield Entry(at, SUPERVISOR, Kind.SAID, fact.text.strip())
            case ev.ToolEnded():
                yield from self._used(fact, at)

    def _actor(self, session: str | None) -> Actor | None:
        if session == self.session:
            return self.supervisor
        return self.agents.get(self._by_session.get(session or "", ""))

    def _name(self, actor: Actor) -> str:
        return actor.id if isinstance(actor, Agent) else SUPERVISOR

    def _agent(self, id_: str) -> Agent:
        return self.agents.setdefault(id_, Agent(id=id_))

    def _named(self, named: ev.Named, at: float) -> None:
        """Know a session by its title, ``agent · id``: not every line says whose child it is."""
        _, separator, id_ = named.title.rpartition(" · ")
        if separator and READABLE_ID.fullmatch(id_) and named.session not in self._by_session:
            self._by_session[named.session] = id_
            self._agent(id_).since_s = at

    def _status(self, fact: ev.Busy | ev.Idle, at: float) -> Iterator[Entry]:
        actor, busy = self._actor(fact.session), isinstance(fact, ev.Busy)
        if actor is not None and busy != actor.busy:
            yield from self._turned(actor, busy, at)

    def _retries(self, fact: ev.Retrying, at: float) -> Iterator[Entry]:
        if (actor := self._actor(fact.session)) is not None:
            said = f"the provider refused ({fact.why}); OpenCode tries again"
            yield Entry(at, self._name(actor), Kind.USED, said)

    def _turned(self, actor: Actor, busy: bool, at: float) -> Iterator[Entry]:
        actor.busy = busy
        if isinstance(actor, Agent):
            yield from self._agent_turned(actor, at)
            return
        actor.since_s = at
        if not busy and self.running:
            yield Entry(at, SUPERVISOR, Kind.IDLE, f"turn ended, {self._still_running()}")
        elif busy and self.agents:
            yield Entry(at, SUPERVISOR, Kind.WOKEN, "woken by the notice")

    def _still_running(self) -> str:
        return f"{counted(len(self.running), 'agent')} still at work"

    def _agent_turned(self, agent: Agent, at: float) -> Iterator[Entry]:
        if agent.busy or agent.ended:
            return
        agent.ended = True
        used = counted(agent.tools, "tool call")
        text = f"done: {agent.chars:,} characters written, {used}"
        yield Entry(at, agent.id, Kind.ENDED, text)

    def _failed(self, fact: ev.Failed, at: float) -> Iterator[Entry]:
        actor = self._actor(fact.session)
        if actor is self.supervisor:
            self.error = fact.why
        elif isinstance(actor, Agent) and not actor.ended:
            actor.ended, actor.error = True, fact.why
            yield Entry(at, actor.id, Kind.FAILED, actor.error)

    # --- messages and tools -------------------------------------------------

    def _received(self, stored: ev.TextStored, at: float) -> Iterator[Entry]:
        if stored.part in self._shown:
            return
        self._shown.add(stored.part)
        self._to_answer.add(stored.message)
        for notice in Notice.all_in(stored.text) if stored.hidden else []:
            self._agent(notice.id).notice = notice
            yield Entry(at, notice.id, Kind.NOTICE, _told(notice))
        if not stored.hidden:
            # From here on time counts; what came before was OpenCode getting ready.
            self.start_s += at
            yield Entry(0.0, YOU, Kind.ASKED, stored.text.strip())

    def _used(self, call: ev.ToolEnded, at: float) -> Iterator[Entry]:
        actor = self._actor(call.session)
        if f"{call.session}/{call.part}" in self._shown or actor is None:
            return
        self._shown.add(f"{call.session}/{call.part}")
        if isinstance(actor, Agent):
            actor.tools += 1
            yield Entry(at, actor.id, Kind.USED, _call(call))
        elif call.tool == "delegate" and not call.failed:
            yield self._delegated(call, at)
        else:
            self.reads += call.tool == "delegation_read"
            self.own_steps += bool(self.running) and not call.tool.startswith("delegation_")
            yield Entry(at, SUPERVISOR, Kind.USED, _call(call))

    def _delegated(self, call: ev.ToolEnded, at: float) -> Entry:
        found = READABLE_ID.search(call.output)
        agent = self._agent(found.group() if found else "")
        agent.since_s = agent.since_s or at
        given = call.input
        agent.agent, agent.model = str(given.get("agent", "")), str(given.get("model") or "")
        agent.title = title_of(str(given.get("prompt", "")))
        agent.call_ms = call.took_ms
        return Entry(at, agent.id, Kind.DELEGATED, agent.title)


def counted(count: int, what: str) -> str:
    """Return ``2 tool calls``, ``1 agent``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def _told(notice: Notice) -> str:
    rest = "all complete" if notice.all_complete else f"{notice.remaining} still at work"
    return f"{notice.status} after {notice.elapsed}, {rest}"


def _call(call: ev.ToolEnded) -> str:
    """Return a tool call in one line: what was called, on what, and how it ended."""
    given = (call.input.get(name) for name in ("command", "id", "filePath", "path"))
    text = f"{call.tool} {next((one for one in given if one), '')}".strip()
    if call.failed:
        return f"{text}: {call.output}"
    if call.tool in SHELLS:
        lines = [line for line in call.output.splitlines() if line.strip()]
        return f"{text}: {' '.join(lines[-1].split())}" if lines else text
    if call.tool == "delegation_read":
        return f"{text}: the whole artifact, {len(call.output):,} characters"
    return text
