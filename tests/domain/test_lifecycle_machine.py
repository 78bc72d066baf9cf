"""Whatever happens in whatever order, a delegation keeps its invariants."""

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from background_agents.domain import events as ev
from background_agents.domain.asking import Ask
from background_agents.domain.delegation import Delegation, apply, register, replay
from background_agents.domain.errors import IllegalTransition
from background_agents.domain.status import TERMINAL, Status, target
from background_agents.testing.contracts.samples import at, registered

NAMES = st.sampled_from(["one", "two", "three"])


def _of(
    event: type[ev.Event], /, **facts: st.SearchStrategy[object]
) -> st.SearchStrategy[ev.Event]:
    return st.builds(event, at=st.integers(0, 3600).map(at), **facts)


ENDINGS = [
    _of(kind, summary=st.text(), **({} if kind is ev.Completed else {"error": st.text()}))
    for kind in (ev.Completed, *ev.CutShort.__subclasses__())
]

IN_A_RUN = [
    _of(ev.Launched, session=NAMES, message=NAMES),
    _of(ev.Progressed, usage=st.builds(ev.Usage, input_tokens=st.integers(0, 10**9))),
    _of(ev.ToolCalled, tool=NAMES),
    _of(ev.InputRequested, ask=st.builds(Ask, id=NAMES, session=NAMES, permission=st.text())),
    _of(ev.InputAnswered, request=NAMES, reply=st.text(), by=NAMES),
    _of(ev.ParentNotified, text=st.text(), kept=st.booleans()),
    _of(ev.KeptTold),
    _of(ev.SteerSent, steer=NAMES, text=st.text()),
    _of(ev.SteerConfirmed, steer=NAMES),
    _of(
        ev.Extended,
        more=st.none() | st.timedeltas(timedelta(minutes=1), timedelta(days=7)),
        by=NAMES,
    ),
    _of(ev.StopRequested, by=NAMES),
    _of(ev.Resumed, owner=NAMES),
    _of(ev.Relaunched, message=NAMES),
]

AT_ANY_TIME = [
    _of(ev.Annotated, labels=st.tuples(NAMES), note=st.text(), by=NAMES),
    _of(ev.Described, title=st.text(), summary=st.text()),
    _of(ev.Read),
    _of(ev.NoticeQueued, notice=NAMES),
    _of(ev.NoticeConfirmed, notice=NAMES),
]


class Lifecycle(RuleBasedStateMachine):
    """Throws events at one delegation; most come in a run, few end it."""

    @initialize()
    def begin(self) -> None:
        self.delegation = register(registered())
        self.history: list[ev.Event] = []
        self.ended_as: Status | None = None

    @rule(event=st.one_of(IN_A_RUN))
    def work(self, event: ev.Event) -> None:
        self.happen(event)

    @rule(event=st.one_of(AT_ANY_TIME))
    def look(self, event: ev.Event) -> None:
        self.happen(event)

    @rule(event=st.one_of(ENDINGS))
    def end(self, event: ev.Event) -> None:
        self.happen(event)

    def happen(self, event: ev.Event) -> None:
        before = self.delegation
        try:
            self.delegation = apply(before, event)
        except IllegalTransition:
            assert target(before.status, type(event)) is None
            return
        assert target(before.status, type(event)) is not None
        self.history.append(event)
        if self.ended_as is None and self.delegation.status in TERMINAL:
            self.ended_as = self.delegation.status

    @invariant()
    def a_terminal_status_is_final(self) -> None:
        assert self.ended_as in (None, self.delegation.status)
        assert self.delegation.is_terminal == (self.ended_as is not None)
        assert (self.delegation.ended_at is not None) == self.delegation.is_terminal

    @invariant()
    def the_version_counts_the_events(self) -> None:
        assert self.delegation.version == 1 + len(self.history)

    @invariant()
    def the_history_leads_to_the_record(self) -> None:
        assert replay(registered(), self.history) == self.delegation

    @invariant()
    def it_waits_as_long_as_something_is_asked(self) -> None:
        waits = self.delegation.status is Status.WAITING
        assert waits == bool(self.delegation.requests)

    @invariant()
    def what_was_registered_never_changes(self) -> None:
        """But for its time limit, which people extend."""
        assert _registered_facts(self.delegation) == _registered_facts(register(registered()))


def _registered_facts(delegation: Delegation) -> tuple[object, ...]:
    return (
        delegation.id,
        delegation.root_session,
        delegation.parent_session,
        delegation.prompt,
        delegation.agent,
        delegation.registered_at,
    )


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
