"""What happened, in order: events in, lines for the screen and the state of each actor out.

Pure, so that it can be asked at any moment what is still to come. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from background_agents.domain.text import title_of
from lab.demo import facts
from lab.harness.client import Seen

SUPERVISOR = "supervisor"
YOU = "you"

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
    notice: facts.Notice | None = None


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
    _to_answer: str = ""
    _answered: str = ""

    # --- what is to come ----------------------------------------------------

    @property
    def running(self) -> list[Agent]:
        """The agents whose end the supervisor has not been told."""
        return [agent for agent in self.agents.values() if agent.notice is None]

    @property
    def settled(self) -> bool:
        """Whether the supervisor rests, has answered everything, and waits for nothing."""
        return not self.supervisor.busy and not self.running and self._has_answered

    @property
    def _has_answered(self) -> bool:
        # Ids sort by time: an answer names the newest message that it answers.
        return bool(self._to_answer) and self._answered >= self._to_answer

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
        at = seen.at_s - self.start_s
        match seen.type:
            case "session.created":
                self._created(facts.session(seen), at)
            case "session.status" | "session.idle":
                yield from self._status(seen, at)
            case "session.error":
                yield from self._failed(seen, at)
            case "message.updated":
                self._message(facts.info(seen))
            case "message.part.delta":
                if (actor := self._actor(seen.session)) is not None:
                    actor.wrote(str(seen.properties.get("partID")), facts.delta(seen))
            case "message.part.updated":
                yield from self._part(facts.part(seen), at)

    def _actor(self, session: str | None) -> Actor | None:
        if session == self.session:
            return self.supervisor
        return self.agents.get(self._by_session.get(session or "", ""))

    def _name(self, actor: Actor) -> str:
        return actor.id if isinstance(actor, Agent) else SUPERVISOR

    def _agent(self, id_: str) -> Agent:
        return self.agents.setdefault(id_, Agent(id=id_))

    def _created(self, created: facts.Session, at: float) -> None:
        if created.parent == self.session:
            id_ = created.title.rpartition(" ")[2]
            self._by_session[created.id] = id_
            self._agent(id_).since_s = at

    def _status(self, seen: Seen, at: float) -> Iterator[Entry]:
        actor = self._actor(seen.session)
        status = seen.properties.get("status")
        state = status.get("type") if isinstance(status, dict) else "idle"
        if actor is not None and isinstance(status, dict) and state == "retry":
            said = f"the provider refused ({status.get('message')}); OpenCode tries again"
            yield Entry(at, self._name(actor), Kind.USED, said)
        if actor is not None and (state != "idle") != actor.busy:
            yield from self._turned(actor, state != "idle", at)

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

    def _failed(self, seen: Seen, at: float) -> Iterator[Entry]:
        actor = self._actor(seen.session)
        if actor is self.supervisor:
            self.error = facts.error(seen)
        elif isinstance(actor, Agent) and not actor.ended:
            actor.ended, actor.error = True, facts.error(seen)
            yield Entry(at, actor.id, Kind.FAILED, actor.error)

    def _message(self, info: facts.Info) -> None:
        if info.session != self.session:
            return
        if info.role == "user":
            self._to_answer = max(self._to_answer, info.id)
        elif info.finish not in ("", "tool-calls", "unknown"):
            self._answered = max(self._answered, info.parent)

    # --- parts of messages --------------------------------------------------

    def _part(self, part: facts.Part, at: float) -> Iterator[Entry]:
        finished = part.time.end is not None or part.state.status in ("completed", "error")
        from_user = part.type == "text" and not part.time.start
        if part.id in self._shown or not (finished or from_user):
            return
        self._shown.add(part.id)
        if part.session == self.session:
            if from_user:
                yield from self._received(part, at)
            elif part.type == "text" and part.text.strip():
                yield Entry(at, SUPERVISOR, Kind.SAID, part.text.strip())
            elif part.type == "tool":
                yield from self._supervisor_used(part, at)
        elif part.type == "tool" and isinstance(agent := self._actor(part.session), Agent):
            agent.tools += 1
            yield Entry(at, agent.id, Kind.USED, _call(part))

    def _received(self, part: facts.Part, at: float) -> Iterator[Entry]:
        notices = facts.Notice.all_in(part.text) if part.synthetic else []
        for notice in notices:
            self._agent(notice.id).notice = notice
            yield Entry(at, notice.id, Kind.NOTICE, _told(notice))
        if not part.synthetic:
            # From here on time counts; what came before was OpenCode getting ready.
            self.start_s += at
            yield Entry(0.0, YOU, Kind.ASKED, part.text.strip())

    def _supervisor_used(self, part: facts.Part, at: float) -> Iterator[Entry]:
        if part.tool == "delegate" and part.state.status == "completed":
            yield self._delegated(part, at)
            return
        self.reads += part.tool == "delegation_read"
        self.own_steps += bool(self.running) and not part.tool.startswith("delegation_")
        yield Entry(at, SUPERVISOR, Kind.USED, _call(part))

    def _delegated(self, part: facts.Part, at: float) -> Entry:
        given = part.state.input
        agent = self._agent(str(part.state.metadata.get("id", "")))
        agent.since_s = agent.since_s or at
        agent.agent, agent.model = str(given.get("agent", "")), str(given.get("model") or "")
        agent.title = title_of(str(given.get("prompt", "")))
        agent.call_ms = part.call_ms
        return Entry(at, agent.id, Kind.DELEGATED, agent.title)


def counted(count: int, what: str) -> str:
    """Return ``2 tool calls``, ``1 agent``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def _told(notice: facts.Notice) -> str:
    rest = "all complete" if notice.all_complete else f"{notice.remaining} still at work"
    return f"{notice.status} after {notice.elapsed}, {rest}"


def _call(part: facts.Part) -> str:
    """Return a tool call in one line: what was called, on what, and how it ended."""
    state = part.state
    asked = state.input.get("command") or state.input.get("id") or state.title
    text = f"{part.tool} {asked}".strip()
    if state.status == "error":
        return f"{text}: {state.error}"
    if part.tool == "bash":
        lines = [line for line in state.output.splitlines() if line.strip()]
        return f"{text}: {' '.join(lines[-1].split())}" if lines else text
    if part.tool == "delegation_read":
        return f"{text}: the whole artifact, {len(state.output):,} characters"
    return text
