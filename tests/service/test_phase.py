"""The phases of a run are what their table says, whatever is heard in whichever order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from background_agents.domain.asking import Ask, Reply
from background_agents.domain.events import KeptTold
from background_agents.domain.transcript import Message
from background_agents.ports import runtime
from background_agents.service.running import signals
from background_agents.service.running.phase import (
    FOLLOWED,
    TABLE,
    Move,
    Phase,
    Sign,
    Step,
)
from background_agents.service.running.signals import sign_of
from lab.reference.lifecycle import phases

LIFECYCLE = Path(__file__).resolve().parents[2] / "docs/explanation/lifecycle.md"

COMES_TO: Mapping[Step, frozenset[Sign]] = {
    Step.IGNORE: frozenset(),
    Step.REFUSE: frozenset(),
    Step.DEAL: frozenset({Sign.SETTLED}),
    Step.RECORD: frozenset(),
    Step.LAUNCH: frozenset({Sign.ACCEPTED}),
    Step.AWAIT_TURN: frozenset(),
    Step.LOOK: frozenset(
        {Sign.BUSY, Sign.DELETED, Sign.AT_REST, Sign.CUT_OFF, Sign.UNBEGUN, Sign.ENDED}
    ),
    Step.JUDGE: frozenset({Sign.DENIED, Sign.ACCEPTED, Sign.ENDED}),
    Step.HAND_OVER: frozenset({Sign.ACCEPTED}),
    Step.RELAUNCH: frozenset({Sign.ACCEPTED, Sign.ENDED}),
    Step.NUDGE: frozenset(),
    Step.STOP: frozenset({Sign.ENDED}),
    Step.WRITE_OFF: frozenset({Sign.ENDED}),
}
"""What each step may come to; all but a stop and a launch may come to nothing as well."""

HEARD = frozenset(
    {
        Sign.SLOT,
        Sign.BUSY,
        Sign.IDLE,
        Sign.FAILED,
        Sign.ABORTED,
        Sign.DELETED,
        Sign.RESTORED,
        Sign.TOLD,
        Sign.TALK,
        Sign.RECORD,
        Sign.STOP,
        Sign.TURN_OVERDUE,
        Sign.LOOK_DUE,
    }
)
"""What signals say; all else comes of steps."""

ANY_TIME = HEARD - {Sign.SLOT, Sign.TURN_OVERDUE}
"""What may be heard of a session at any time: a slot is given, a turn awaited, in one phase."""

BEGINNINGS = (Phase.QUEUED, Phase.UNSURE)
"""Of a run of our own, and of one that another process has begun."""

ORDER = (Phase.QUEUED, Phase.LAUNCHING, Phase.WORKING, Phase.STOPPING, Phase.ENDING, Phase.OVER)
"""No run goes back in it; ``WORKING`` stands for all phases with a session."""

PAIRS = [(phase, sign) for phase in Phase for sign in Sign]

SESSION, BELOW = "ses_1", "ses_2"


def place(phase: Phase) -> int:
    return ORDER.index(Phase.WORKING if phase in FOLLOWED else phase)


def may_come(phase: Phase, sign: Sign) -> bool:
    """Return whether anything may say or come to a sign in a phase."""
    if sign in (Sign.ENDED, Sign.LEFT):
        return sign is Sign.LEFT or phase is not Phase.ENDING
    if phase is Phase.QUEUED:
        return sign in {Sign.SLOT, Sign.RESTORED, Sign.TALK, Sign.RECORD, Sign.STOP}
    if sign in HEARD:
        is_awaited = (phase, sign) == (Phase.PROMPTED, Sign.TURN_OVERDUE)
        # A launch, a stop and a closed inbox have what comes elsewhere.
        return phase in FOLLOWED and (sign in ANY_TIME or is_awaited)
    return any(sign in COMES_TO[move.step] for move in into(phase))


def into(phase: Phase) -> Iterator[Move]:
    """Yield every move that leads to a phase, or stays in it."""
    return (move for moves in TABLE.values() for move in moves.values() if move.phase is phase)


@pytest.mark.parametrize(("phase", "sign"), PAIRS, ids=[f"{p}-{s.name}" for p, s in PAIRS])
def test_each_pair_that_may_come_is_in_the_table_and_no_other(phase: Phase, sign: Sign) -> None:
    assert (sign in TABLE[phase]) is may_come(phase, sign)


@pytest.mark.parametrize("phase", Phase)
def test_whatever_is_wanted_is_dealt_with_or_refused(phase: Phase) -> None:
    """Nothing is dropped in silence; what is not taken from the inbox is refused as that closes."""
    step = TABLE[phase][Sign.TALK].step if Sign.TALK in TABLE[phase] else None
    expected = Step.DEAL if phase in FOLLOWED else None
    assert step is (Step.REFUSE if phase is Phase.QUEUED else expected)


@pytest.mark.parametrize("phase", Phase)
def test_each_phase_can_be_reached_and_has_a_way_to_an_end(phase: Phase) -> None:
    """Without any fault: by what is heard, and what the steps come to."""
    reached = {*BEGINNINGS}
    ends = {Phase.ENDING, Phase.OVER} | {one for one in Phase if can_end(one)}
    for _ in Phase:
        reached |= {to for one in reached for to in leads(one)}
        ends |= {one for one in Phase if ends & leads(one)}
    assert phase in reached
    assert phase in ends


def can_end(phase: Phase) -> bool:
    """Return whether a step that is done there may come to an end."""
    return any(Sign.ENDED in COMES_TO[move.step] for move in into(phase))


def leads(phase: Phase) -> set[Phase]:
    """Return where a phase leads without a fault."""
    faults = set() if can_end(phase) else {Sign.ENDED}
    if phase is not Phase.ENDING:
        faults.add(Sign.LEFT)
    return {move.phase for sign, move in TABLE[phase].items() if sign not in faults}


def test_an_ending_is_final() -> None:
    assert {move.phase for move in TABLE[Phase.ENDING].values()} == {Phase.OVER}
    assert {*TABLE[Phase.OVER].values()} == {Move(Phase.OVER, Step.IGNORE)}


@given(st.data())
def test_whatever_is_heard_in_whichever_order_a_run_can_take_it(data: st.DataObject) -> None:
    """No sign is missing, none leads back, nothing follows for ever, and it ends when it is to."""
    phase = data.draw(st.sampled_from(BEGINNINGS))
    for _ in range(data.draw(st.integers(1, 30))):
        heard = [sign for sign in Sign if sign in HEARD and may_come(phase, sign)]
        if not heard:
            break
        phase = followed_through(data, phase, data.draw(st.sampled_from(heard)))
    if place(phase) < place(Phase.STOPPING):
        phase = followed_through(data, phase, Sign.STOP)
    assert phase is Phase.ENDING
    assert TABLE[phase][Sign.LEFT].phase is Phase.OVER


def followed_through(data: st.DataObject, phase: Phase, sign: Sign) -> Phase:
    """Return the phase in which a sign, and what the steps come to that follow, leave a run."""
    for _ in range(5):
        before, (phase, step) = phase, TABLE[phase][sign]
        assert place(before) <= place(phase)
        if Phase.PROMPTED in (phase, before) and phase is not before:
            assert (phase is Phase.PROMPTED) is (step is Step.AWAIT_TURN)
        comes_to = sorted(COMES_TO[step], key=lambda one: one.value)
        goes_on = step in {Step.LAUNCH, Step.STOP, Step.WRITE_OFF} or data.draw(st.booleans())
        if not (comes_to and goes_on):
            return phase
        sign = data.draw(st.sampled_from(comes_to))
    raise AssertionError(f"{step} is followed by more and more")


# --- what signals say ------------------------------------------------------------------


def said(signal: signals.Signal) -> Sign:
    return sign_of(signal, SESSION)


async def test_each_kind_of_signal_says_something() -> None:
    """But for what is known as soon as it is heard, or heard by another than the run."""
    said_by = {
        runtime.Busy(SESSION): Sign.BUSY,
        runtime.Idle(SESSION): Sign.IDLE,
        runtime.RunFailed(SESSION, "Lost.", aborted=False): Sign.FAILED,
        runtime.RunFailed(SESSION, "Aborted", aborted=True): Sign.ABORTED,
        runtime.SessionDeleted(SESSION): Sign.DELETED,
        runtime.StreamRestored(""): Sign.RESTORED,
        runtime.MessageChanged(SESSION, Message(id="a", role="user")): Sign.TALK,
        runtime.InputAsked(BELOW, Ask(id="per_1", session=BELOW)): Sign.TALK,
        runtime.InputSettled(BELOW, "per_1", Reply()): Sign.TALK,
        runtime.Idle(BELOW): Sign.TALK,
        runtime.SessionDeleted(BELOW): Sign.TALK,
        signals.SlotGranted(): Sign.SLOT,
        signals.DeadlinePassed(): Sign.STOP,
        signals.StopAsked("user"): Sign.STOP,
        signals.TurnOverdue(): Sign.TURN_OVERDUE,
        signals.LookDue(): Sign.LOOK_DUE,
        signals.ToldOfBelow(): Sign.TOLD,
        signals.AnswerDue("per_1"): Sign.TALK,
        signals.KeptDue(): Sign.TALK,
        signals.WeighDue(): Sign.TALK,
        signals.SteerAsked("Shorter."): Sign.TALK,
        signals.AnswerAsked("once"): Sign.TALK,
        signals.NotifyAsked("Which branch?"): Sign.TALK,
        signals.RecordAsked(lambda _, at: KeptTold(at=at), "user"): Sign.RECORD,
    }
    assert {one: said(one) for one in said_by} == said_by
    assert {said(one) for one in said_by} == HEARD
    kinds = {*get_args(signals.Signal), *signals.Asked.__subclasses__()}
    kinds |= {one for one in vars(runtime).values() if is_event(one)}
    others = {runtime.TextStreamed, runtime.Retrying, runtime.UndoChanged, signals.QuietLimit}
    bases = {runtime.RuntimeEvent, signals.Asked}
    assert kinds - others - bases == {type(one) for one in said_by}


def is_event(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, runtime.RuntimeEvent)


# --- the diagram -------------------------------------------------------------------------


def test_the_diagram_in_the_documentation_is_the_table() -> None:
    assert f"```mermaid\n{phases()}\n```" in LIFECYCLE.read_text("utf-8")


def test_the_diagram_shows_each_sign_that_changes_the_phase() -> None:
    """Of those with a session what all share is drawn once."""
    drawn = {line.strip() for line in phases().splitlines() if "-->" in line}
    for phase, moves in TABLE.items():
        for sign, move in moves.items():
            if move.phase is phase or (sign is Sign.LEFT and phase is not Phase.ENDING):
                continue
            shared = phase in FOLLOWED and move.phase not in FOLLOWED
            start = f"{'followed' if shared else phase} --> {move.phase}: "
            (arrow,) = (line for line in drawn if line.startswith(start))
            assert sign.name.lower() in arrow.removeprefix(start).split(", ")
