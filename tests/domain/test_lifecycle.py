"""The lifecycle is what its table says, in every status and for every event."""

from datetime import timedelta
from typing import get_args

import pytest
from msgspec.structs import replace

from background_agents.domain import events as ev
from background_agents.domain.changes import Changes
from background_agents.domain.delegation import Delegation, OpenRequest, apply, register
from background_agents.domain.errors import IllegalTransition
from background_agents.domain.limits import Reached
from background_agents.domain.status import ACTIVE, TERMINAL, TRANSITIONS, Status, target
from background_agents.testing.contracts.samples import NOON, PERMISSION, QUESTION, at, registered
from lab.reference.lifecycle import statuses

KINDS: tuple[type[ev.Event], ...] = get_args(ev.AnyEvent)

SAMPLES: dict[type[ev.Event], ev.Event] = {
    type(event): event
    for event in (
        registered(),
        ev.Launched(at=at(1), session="ses_child", message="msg_1"),
        ev.Progressed(at=at(2), usage=ev.Usage(input_tokens=5)),
        ev.ToolCalled(at=at(3), tool="read"),
        ev.InputRequested(at=at(4), ask=PERMISSION),
        ev.InputAnswered(at=at(5), request="per_1", reply="once", by="supervisor"),
        ev.ParentNotified(at=at(5), text="Which branch?"),
        ev.KeptTold(at=at(5)),
        ev.SteerSent(at=at(6), steer="msg_2", text="Shorter."),
        ev.SteerConfirmed(at=at(7), steer="msg_2"),
        ev.Annotated(at=at(7), labels=("release",), note="Look again.", by="user"),
        ev.Extended(at=at(7), more=timedelta(minutes=5), by="supervisor"),
        ev.LimitReached(at=at(7), reached=Reached("limit of 20 turns", 20)),
        ev.StopRequested(at=at(8), by="user"),
        ev.Completed(at=at(9), summary="Done."),
        ev.Failed(at=at(9), summary="", error="no such model"),
        ev.TimedOut(at=at(9), summary="", error="15 minutes are over"),
        ev.Stopped(at=at(9), summary="", error="stopped"),
        ev.Interrupted(at=at(9), summary="", error="its process died"),
        ev.Resumed(at=at(9), owner="other"),
        ev.Relaunched(at=at(9), message="msg_3"),
        ev.Described(at=at(10), title="Better", summary="Better."),
        ev.ChangesMade(at=at(10), changes=Changes(1)),
        ev.Read(at=at(11)),
        ev.NoticeQueued(at=at(12), notice="prt_1"),
        ev.NoticeConfirmed(at=at(13), notice="prt_1"),
    )
}

REQUEST = OpenRequest(PERMISSION, NOON)

ALLOWED = {(status, kind) for status, moves in TRANSITIONS.items() for kind in moves}
PAIRS = [(status, kind) for status in Status for kind in KINDS]


def standing(status: Status) -> Delegation:
    """Return a delegation in ``status``; one that waits has one open request."""
    requests = (REQUEST,) if status is Status.WAITING else ()
    since = NOON if requests else None
    return replace(register(registered()), status=status, requests=requests, waiting_since=since)


def test_every_kind_of_event_has_a_sample() -> None:
    assert set(SAMPLES) == set(KINDS)


@pytest.mark.parametrize(
    ("status", "kind"), PAIRS, ids=[f"{status}-{kind.__name__}" for status, kind in PAIRS]
)
def test_every_event_in_every_status_moves_as_the_table_says(
    status: Status, kind: type[ev.Event]
) -> None:
    before = standing(status)
    if (status, kind) not in ALLOWED:
        with pytest.raises(IllegalTransition, match=f"{kind.__name__} .* {status}"):
            apply(before, SAMPLES[kind])
        return
    after = apply(before, SAMPLES[kind])
    assert after.status is TRANSITIONS[status][kind] is target(status, kind)
    assert after.version == before.version + 1


def test_the_table_covers_every_status_and_its_terminal_ones_are_the_five_endings() -> None:
    assert set(TRANSITIONS) == set(Status)
    endings = (ev.Completed, *ev.CutShort.__subclasses__())
    assert {target(Status.RUNNING, kind) for kind in endings} == TERMINAL
    assert ACTIVE.isdisjoint(TERMINAL)


@pytest.mark.parametrize("status", sorted(Status))
def test_every_status_can_be_reached_and_every_active_one_left(status: Status) -> None:
    reached = {Status.REGISTERED}
    for _ in Status:
        reached |= {to for one in reached for to in TRANSITIONS[one].values()}
    assert status in reached
    assert status in TERMINAL or TERMINAL & set(TRANSITIONS[status].values())


def test_the_diagram_has_one_arrow_per_move() -> None:
    moves = sum(to is not status for status, kinds in TRANSITIONS.items() for to in kinds.values())
    arrows = [line for line in statuses().splitlines() if "-->" in line]
    assert len(arrows) == 1 + moves + len(TERMINAL)


# --- the facts that events leave behind --------------------------------------------


def test_it_waits_until_the_last_request_is_answered() -> None:
    waiting = standing(Status.WAITING)
    second = ev.InputRequested(at=at(5), ask=QUESTION)
    both = apply(waiting, second)
    one_left = apply(both, SAMPLES[ev.InputAnswered])
    assert (one_left.status, [one.id for one in one_left.requests]) == (Status.WAITING, ["que_2"])
    none_left = apply(one_left, ev.InputAnswered(at=at(6), request="que_2", reply="A", by="user"))
    assert (none_left.status, none_left.requests) == (Status.RUNNING, ())


def test_a_request_asked_twice_is_open_once() -> None:
    again = apply(standing(Status.WAITING), SAMPLES[ev.InputRequested])
    assert [one.id for one in again.requests] == ["per_1"]


def test_waiting_for_an_answer_takes_nothing_of_the_window() -> None:
    running = apply(register(registered()), ev.Launched(at=at(10), session="s", message="m"))
    assert running.window_used(at(15)) == timedelta(seconds=5)
    waiting = apply(running, ev.InputRequested(at=at(20), ask=PERMISSION))
    asked_more = apply(waiting, ev.InputRequested(at=at(25), ask=QUESTION))
    assert asked_more.window_used(at(100)) == timedelta(seconds=10)
    half = apply(asked_more, ev.InputAnswered(at=at(110), request="per_1", reply="", by="user"))
    assert half.window_used(at(120)) == timedelta(seconds=10)
    on = apply(half, ev.InputAnswered(at=at(130), request="que_2", reply="", by="user"))
    assert on.window_used(at(135)) == timedelta(seconds=15)


def test_an_instruction_opens_the_window_anew_also_while_it_waits() -> None:
    running = apply(register(registered()), ev.Launched(at=at(10), session="s", message="m"))
    waiting = apply(running, ev.InputRequested(at=at(20), ask=PERMISSION))
    steered = apply(waiting, ev.SteerSent(at=at(30), steer="msg_9", text="Shorter."))
    assert steered.window_used(at(90)) == timedelta(0)
    on = apply(steered, ev.InputAnswered(at=at(90), request="per_1", reply="", by="user"))
    assert on.window_used(at(95)) == timedelta(seconds=5)
    assert on.waited_in_all == timedelta(seconds=70)
    again = apply(on, ev.InputRequested(at=at(100), ask=PERMISSION))
    stopped = ev.Stopped(at=at(130), summary="", error="Enough.", tools_for=timedelta(seconds=7))
    ended = apply(again, stopped)
    assert ended.waited_in_all == timedelta(seconds=100)
    assert ended.tools_for == timedelta(seconds=7)


def test_what_was_asked_stays_asked_when_another_process_takes_over() -> None:
    taken_over = apply(standing(Status.WAITING), SAMPLES[ev.Resumed])
    assert (taken_over.status, taken_over.requests) == (Status.WAITING, (REQUEST,))
    assert taken_over.resumes == 1


def test_confirming_a_steer_confirms_the_older_ones_and_no_newer() -> None:
    steered = standing(Status.RUNNING)
    for number in (1, 2, 3):
        steered = apply(steered, ev.SteerSent(at=at(number), steer=f"msg_{number}", text="x"))
    confirmed = apply(steered, ev.SteerConfirmed(at=at(9), steer="msg_2"))
    assert [one.confirmed_at for one in confirmed.steers] == [at(9), at(9), None]
    again = apply(confirmed, ev.SteerConfirmed(at=at(10), steer="msg_3"))
    assert [one.confirmed_at for one in again.steers] == [at(9), at(9), at(10)]


def test_a_receipt_for_an_unknown_steer_confirms_nothing() -> None:
    steered = apply(standing(Status.RUNNING), SAMPLES[ev.SteerSent])
    unknown = apply(steered, ev.SteerConfirmed(at=at(9), steer="msg_unknown"))
    assert unknown.steers == steered.steers


def test_an_ending_keeps_the_title_unless_it_brings_a_better_one() -> None:
    running = standing(Status.RUNNING)
    kept = apply(running, ev.Completed(at=at(9), summary="Done."))
    assert (kept.title, kept.error, kept.ended_at) == (running.title, None, at(9))
    renamed = apply(running, ev.Failed(at=at(9), summary="", title="Better", error="no model"))
    assert (renamed.title, renamed.error) == ("Better", "no model")


def test_nothing_is_open_once_it_ended() -> None:
    ended = apply(standing(Status.WAITING), SAMPLES[ev.TimedOut])
    assert (ended.requests, ended.waiting_since) == ((), None)


def test_the_first_reading_counts() -> None:
    read = apply(standing(Status.COMPLETED), ev.Read(at=at(20)))
    assert apply(read, ev.Read(at=at(30))).read_at == at(20)


def test_elapsed_counts_from_the_launch_to_the_end() -> None:
    fresh = register(registered())
    assert fresh.elapsed(at(5)) == timedelta(seconds=5)
    running = apply(fresh, SAMPLES[ev.Launched])
    assert running.elapsed(at(5)) == timedelta(seconds=4)
    ended = apply(running, SAMPLES[ev.Completed])
    assert ended.elapsed(at(500)) == timedelta(seconds=8)
