"""A runtime and a channel without a process: agents that do what their prompts say.

Both pass the contract suites of the real ones. A prompt carries its script (see
``scripts``); a test may also write the answers by hand, lose events, and make either end
fail. They take no time of their own, so that a thousand active sessions cost little.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from background_agents.domain.asking import Ask, Reply
from background_agents.domain.errors import (
    DelegationError,
    MessagesUndone,
    NotAsked,
    RuntimeRefused,
    RuntimeUnreachable,
    SupervisorGone,
)
from background_agents.domain.transcript import Message, Transcript
from background_agents.ports import runtime as port
from background_agents.ports.supervisor import OutgoingMessage
from background_agents.testing.scripted_session import Entry, Rules, ScriptedSession
from background_agents.testing.waiting import Changes, Gate

AGENTS = (
    port.Agent("build", "Does everything."),
    port.Agent("explore", "Reads.", read_only=True, may_edit=False),
    port.Agent("plan", "Reads and plans.", read_only=True, may_edit=False),
    port.Agent("title", "Writes titles.", delegable=False),
)

MODELS = ("scripted/one", "scripted/two", "scripted/small")


class ScriptedRuntime:
    """``AgentRuntime``, which says what each method does, with agents that are timers."""

    def __init__(self) -> None:
        self.offered = list(AGENTS)
        """The agents that a refresh finds."""
        self.ends_with_turn = False
        self.name = "scripted"
        self.shows_what_children_ask = True
        self.native_tool = "task"
        self.failure: DelegationError | None = None
        """Raised by every coroutine that would ask the runtime, until it is None again."""
        self.asking: set[str] = set()
        """Tools for which new sessions ask a permission."""
        self.leaves: dict[str, port.Leave] = {}
        """What the rules say of each agent; without an entry it may be run."""
        self.description: tuple[str, str] | None = None
        """What the small model says; None while none is configured."""
        self.price_usd = 0.0
        """What an answer costs; 0 is a price that nobody knows."""
        self.guarded: set[str] = set()
        """Sessions before whose tools a host asks us."""
        self.sessions: dict[str, ScriptedSession] = {}
        self.places: dict[str, str] = {}
        """The directories of sessions that work elsewhere."""
        self.closed: list[str] = []
        """The directories that were let go of."""
        self.moves = Changes()
        """Tells of each of both."""
        self._known: list[port.Agent] = []
        self._listeners: list[port.Listener] = []
        self._kept: dict[str, ScriptedSession] = {}
        self._losing = False
        self._missed: dict[str, Transcript] = {}
        self._gates: dict[str, Gate] = {}
        self._numbers = itertools.count(1)
        self._rules = Rules(
            emit=self.emit,
            mint=lambda prefix: f"{prefix}{next(self._numbers):06}",
            knows_model=lambda model: model is None or model in MODELS,
            price_usd=lambda: self.price_usd,
            hold=lambda name, passed: self._gate(name).hold(passed),
        )

    # --- the port --------------------------------------------------------------

    def subscribe(self, listener: port.Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def agents(self, *, refresh: bool = False) -> Sequence[port.Agent]:
        if refresh or not self._known:
            self._check()
            self._known = list(self.offered)
        return self._known

    async def leave(self, session: str, by: str, agent: str, *, native: bool = True) -> port.Leave:
        self._check()
        self._session(session)
        return self.leaves.get(agent, port.Leave())

    async def lineage(self, session: str) -> tuple[str, ...]:
        self._check()
        chain = [self._session(session)]
        while (parent := chain[-1].parent) is not None:
            chain.append(self._session(parent))
        return tuple(one.name for one in chain)

    def ancestors(self, session: str) -> tuple[str, ...]:
        chain = [session]
        while (found := self.sessions.get(chain[-1])) is not None and found.parent is not None:
            chain.append(found.parent)
        return tuple(chain)

    async def below(self, session: str) -> Sequence[str]:
        self._check()
        self._session(session)
        return [name for name in self.sessions if session in self.ancestors(name)[1:]]

    async def open_session(self, order: port.SessionOrder) -> str:
        self._check()
        parent = None if order.parent is None else self._session(order.parent).name
        name = self.add_session(parent)
        if parent is not None:
            self.sessions[name].denied.update(self.sessions[parent].denied)
        self._obey(name, order)
        if order.directory:
            self.places[name] = order.directory
        self.sessions[name].asking.update(self.asking)
        return name

    async def reopen_session(self, session: str, order: port.SessionOrder) -> None:
        self._check()
        if order.parent is not None:
            self._session(session).denied.update(self._session(order.parent).denied)
        self._obey(session, order)

    def _obey(self, session: str, order: port.SessionOrder) -> None:
        denied = self._session(session).denied
        denied.update(order.denied_tools)
        denied.difference_update(order.allowed_tools)

    def works_in(self, session: str, directory: str) -> None:
        self.places[session] = directory
        self.moves.tell()

    async def close_directory(self, directory: str) -> None:
        self._check()
        self.closed.append(directory)
        self.moves.tell()

    async def prompt(self, session: str, prompt: port.Prompt) -> None:
        self._check()
        found = self._kept[session] = self._session(session)
        if found.undone:
            raise MessagesUndone(session)
        if prompt.agent not in {agent.name for agent in self.offered}:
            # As in OpenCode: accepted, never begun, and told by this event alone.
            words = f'Agent not found: "{prompt.agent}".'
            refused = port.RunFailed(session, words, aborted=False)
            asyncio.get_running_loop().call_soon(self.emit, refused)
            return
        parts = {f"prt_{prompt.message}": prompt.text}
        found.take(Entry(prompt.message, "user", parts, agent=prompt.agent, model=prompt.model))

    async def requests(self) -> Sequence[Ask]:
        self._check()
        return [ask for one in self.sessions.values() for ask, _ in one.open.values()]

    async def answer(self, ask: Ask, reply: Reply) -> None:
        self._check()
        session = self.sessions.get(ask.session)
        if session is None or ask.id not in session.open:
            raise NotAsked(ask.id)
        session.settle(ask.id, reply)

    async def abort(self, session: str) -> None:
        self._check()
        if session in self.sessions:
            self.sessions[session].abort()

    async def state(self, session: str) -> port.RunState:
        self._check()
        found = self.sessions.get(session)
        if found is None:
            return port.RunState(exists=False, busy=False)
        return port.RunState(exists=True, busy=found.busy, undone=bool(found.undone))

    async def transcript(self, session: str, *, refresh: bool = False) -> Transcript:
        if refresh or session not in self._kept:
            self._check()
            self._kept[session] = self._session(session)
            self._missed.pop(session, None)
        return self._missed.get(session) or self._kept[session].transcript()

    async def delegated_in(self, session: str) -> frozenset[str]:
        self._check()
        return frozenset(self._session(session).delegated)

    def being_written(self, session: str) -> Message | None:
        found = self._kept.get(session)
        return found.being_written() if found else None

    def release(self, session: str) -> None:
        self._kept.pop(session, None)
        self._missed.pop(session, None)

    def guard(self, session: str, *, on: bool) -> None:
        (self.guarded.add if on else self.guarded.discard)(session)

    async def describe(self, prompt: str, result: str, parent: str) -> tuple[str, str] | None:
        self._check()
        return self.description

    # --- what a test does to it ------------------------------------------------

    def add_session(self, parent: str | None = None) -> str:
        """Create a session, as a user does, and return its id."""
        name = f"ses_{next(self._numbers):06}"
        self.sessions[name] = ScriptedSession(name, parent, self._rules)
        return name

    def user_says(
        self, session: str, text: str, *, agent: str = "build", model: str = MODELS[0]
    ) -> str:
        """Send a message as the session's user, and return its id."""
        message = f"msg_user{next(self._numbers):06}"
        entry = Entry(message, "user", {f"prt_{message}": text}, agent=agent, model=model)
        self._session(session).take(entry)
        return message

    def delete_session(self, session: str) -> None:
        """Delete a session; those below it go first."""
        for below in [one.name for one in self.sessions.values() if one.parent == session]:
            self.delete_session(below)
        self.sessions[session].delete()
        del self.sessions[session]

    def open(self, gate: str) -> None:
        """Let everything pass that waits at ``gate``, or will come to it."""
        self._gate(gate).open()

    def emit(self, event: port.RuntimeEvent) -> None:
        """Tell every listener of an event, unless events are being lost."""
        if self._losing:
            return
        self._missed.pop(event.session, None)
        for listener in tuple(self._listeners):
            listener(event)

    @contextmanager
    def losing_events(self) -> Iterator[None]:
        """Within the block nothing is heard; at its end the stream is restored."""
        self._losing = True
        self._missed = {name: one.transcript() for name, one in self._kept.items()}
        try:
            yield
        finally:
            self._losing = False
        self.emit(port.StreamRestored(""))

    @contextmanager
    def ended(self) -> Iterator[None]:
        """Within the block it is gone, with all that ran in it; at its end it begins anew."""
        for session in self.sessions.values():
            session.end_with_runtime()
        self.failure = RuntimeUnreachable("The runtime has ended.")
        try:
            yield
        finally:
            self.failure = None
        self.emit(port.StreamRestored(""))

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _session(self, name: str) -> ScriptedSession:
        if name not in self.sessions:
            raise RuntimeRefused(f"There is no session {name}.")
        return self.sessions[name]

    def _gate(self, name: str) -> Gate:
        return self._gates.setdefault(name, Gate())


class ScriptedChannel:
    """``SupervisorChannel`` into the sessions of a ``ScriptedRuntime``."""

    def __init__(self, runtime: ScriptedRuntime) -> None:
        self.attempts: list[OutgoingMessage] = []
        """Every message that was to be delivered, each time."""
        self.toasts: list[tuple[str, str, str]] = []
        self.changes = Changes()
        """Tells of each attempt, delivery and toast."""
        self._runtime = runtime
        self._mishaps: list[bool] = []
        """Of the next deliveries that fail, whether they arrive all the same."""
        self._held = Gate()
        self._held.open()

    async def deliver(self, message: OutgoingMessage) -> None:
        self.attempts.append(message)
        self.changes.tell()
        passed = asyncio.Event()
        self._held.hold(passed.set)
        await passed.wait()
        if session := self._runtime.sessions.get(message.session):
            await session.wound_up.wait()
        await self.make_sure_nothing_is_undone(message.session)
        fails = bool(self._mishaps)
        if not fails or self._mishaps.pop(0):
            self._store(message)
        if fails:
            raise RuntimeUnreachable("The supervisor's OpenCode does not answer.")
        self.changes.tell()

    async def make_sure_nothing_is_undone(self, session: str) -> None:
        if (found := self._runtime.sessions.get(session)) is not None and found.undone:
            raise MessagesUndone(session)

    async def toast(self, title: str, message: str, variant: str) -> None:
        self.toasts.append((title, message, variant))
        self.changes.tell()

    def fail(self, times: int = 1, *, arrives: bool = False) -> None:
        """Let the next deliveries end as if OpenCode did not answer, be they stored or not."""
        self._mishaps += [arrives] * times

    def hold(self) -> None:
        """Let deliveries hang from now on."""
        self._held = Gate()

    def let_go(self) -> None:
        """Let those that hang, and all later ones, go on."""
        self._held.open()

    def delivered(self, session: str) -> list[tuple[str, ...]]:
        """Return the hidden messages of a session, each as the texts of its parts."""
        found = self._runtime.sessions.get(session)
        entries = found.entries.values() if found else ()
        return [tuple(entry.parts.values()) for entry in entries if entry.hidden]

    async def until_delivered(self, session: str, count: int) -> list[tuple[str, ...]]:
        """Return ``delivered(session)`` once that many messages have arrived."""
        await self.changes.until(lambda: len(self.delivered(session)) >= count)
        return self.delivered(session)

    def _store(self, message: OutgoingMessage) -> None:
        session = self._runtime.sessions.get(message.session)
        if session is None:
            raise SupervisorGone(message.session)
        newest = session.newest_of_user()
        entry = Entry(
            message.message,
            "user",
            dict(message.parts),
            hidden=True,
            agent=newest.agent if newest else None,
            model=newest.model if newest else None,
        )
        has_turns = any(one.role == "assistant" for one in session.entries.values())
        is_open = has_turns and not session.stopped_by_user
        session.take(entry, wake=message.wakes and is_open)
