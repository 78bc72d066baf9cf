"""How a run ended is read off the evidence, and nothing but that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from background_agents.domain.asking import Ask
from background_agents.domain.delegation import Delegation, OpenRequest, Steer
from background_agents.domain.status import Status
from background_agents.domain.transcript import Message, Transcript
from background_agents.ports.runtime import RunFailed, RunState
from background_agents.service.running.asking import Refusal
from background_agents.service.running.completion import (
    ABORTED,
    UNFINISHED,
    Evidence,
    Undecided,
    found,
    judge,
)
from background_agents.service.running.ending import Outcome
from background_agents.service.running.launch import UNDONE
from background_agents.service.running.phase import Sign

NOW = datetime(2030, 1, 1, tzinfo=UTC)

PLAIN = Delegation(
    id="brave-amber-otter",
    project="p1",
    directory="/src",
    root_session="ses_1",
    parent_session="ses_1",
    prompt="Do it.",
    agent="build",
    title="Do it.",
    owner="1:1",
    registered_at=NOW,
    status=Status.RUNNING,
)

STEERED = msgspec.structs.replace(PLAIN, steers=(Steer("u2", "Also.", NOW),))

ASKING = msgspec.structs.replace(
    PLAIN, requests=(OpenRequest(Ask(id="per_1", session="ses_3", permission="bash"), NOW),)
)

RELAUNCHED = msgspec.structs.replace(PLAIN, relaunches=1, relaunch_message="u2")

PROMPT = Message(id="u1", role="user", text="Do it.")


def said(**facts: Any) -> Transcript:
    first = Message(id="a1", role="assistant", answers="u1", text="First.")
    return Transcript((PROMPT, first, Message(id="a2", role="assistant", answers="u1", **facts)))


DONE = said(text="Done.", finished=True)
HALF = said(text="Half.")
GIVEN_UP = said(text="Half.", aborted=True, error="Aborted")
UNBEGUN = Transcript((PROMPT,))

GO_ON = Message(id="u2", role="user", text="Go on.")
CUT_OFF = Transcript((*HALF.messages, GO_ON))
HALF_AGAIN = Transcript(
    (*CUT_OFF.messages, Message(id="a3", role="assistant", answers="u2", text="More"))
)

BAD_MODEL = RunFailed("ses_2", "Model not found.", aborted=False)
ABORT = RunFailed("ses_2", "Aborted", aborted=True)


def seen(
    delegation: Delegation,
    transcript: Transcript,
    *,
    failure: RunFailed | None = None,
    refused: str | None = None,
    is_ours: bool = False,
    is_fresh: bool = True,
    is_abort_told: bool = True,
    awaited: str | None = None,
) -> Evidence:
    refusal = None if refused is None else Refusal(refused, is_ours)
    return Evidence(delegation, transcript, failure, refusal, is_fresh, is_abort_told, awaited)


@pytest.mark.parametrize(
    ("evidence", "status", "text", "error"),
    [
        (seen(PLAIN, DONE), Status.COMPLETED, "Done.", None),
        (seen(PLAIN, DONE, is_fresh=False), Status.COMPLETED, "Done.", None),
        (seen(PLAIN, DONE, refused="bash: x"), Status.COMPLETED, "Done.", None),
        (seen(PLAIN, DONE, failure=BAD_MODEL), Status.COMPLETED, "Done.", None),
        (
            seen(PLAIN, GIVEN_UP),
            Status.STOPPED,
            "First.\n\nHalf.",
            ABORTED,
        ),
        (seen(PLAIN, said(error="Overloaded.")), Status.FAILED, "First.", "Overloaded."),
        (seen(PLAIN, UNBEGUN, failure=BAD_MODEL), Status.FAILED, "", "Model not found."),
        (
            seen(PLAIN, HALF, failure=ABORT),
            Status.STOPPED,
            "First.\n\nHalf.",
            ABORTED,
        ),
        (seen(STEERED, HALF, failure=ABORT), Status.STOPPED, "First.\n\nHalf.", ABORTED),
        (seen(PLAIN, HALF), Status.FAILED, "First.\n\nHalf.", UNFINISHED),
        (seen(RELAUNCHED, CUT_OFF, awaited="u2"), Status.FAILED, "First.\n\nHalf.", UNFINISHED),
        (seen(RELAUNCHED, HALF_AGAIN), Status.FAILED, "First.\n\nHalf.\n\nMore", UNFINISHED),
        (
            seen(PLAIN, HALF, refused="bash: rm -rf x"),
            Status.FAILED,
            "First.\n\nHalf.",
            "It ended as this was refused: bash: rm -rf x",
        ),
    ],
)
def test_an_ending_that_is_certain(
    evidence: Evidence, status: Status, text: str, error: str | None
) -> None:
    """A whole answer is a result; whatever cut a run short is named, with all that was written."""
    outcome = judge(evidence)
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.text, outcome.error) == (status, text, error)


@pytest.mark.parametrize(
    ("evidence", "undecided"),
    [
        (seen(RELAUNCHED, HALF), Undecided.NOT_BEGUN),
        (seen(RELAUNCHED, CUT_OFF), Undecided.NOT_BEGUN),
        (seen(STEERED, DONE, is_fresh=False), Undecided.LOOK_AGAIN),
        (seen(STEERED, DONE), Undecided.GOES_ON),
        (seen(ASKING, DONE), Undecided.GOES_ON),
        (seen(ASKING, DONE, is_fresh=False), Undecided.GOES_ON),
        (seen(STEERED, HALF), Undecided.GOES_ON),
        (seen(PLAIN, HALF, is_fresh=False), Undecided.LOOK_AGAIN),
        (seen(PLAIN, HALF, refused="bash: x", is_fresh=False), Undecided.LOOK_AGAIN),
        (seen(PLAIN, HALF, refused="bash: x", is_ours=True), Undecided.REFUSED),
        (seen(PLAIN, UNBEGUN, is_fresh=False), Undecided.LOOK_AGAIN),
        (seen(PLAIN, GIVEN_UP, is_fresh=False), Undecided.LOOK_AGAIN),
        (seen(PLAIN, HALF, failure=ABORT, is_fresh=False), Undecided.LOOK_AGAIN),
        (seen(PLAIN, HALF, failure=ABORT, is_abort_told=False), Undecided.GOES_ON),
    ],
)
def test_what_does_not_end_a_run_yet(evidence: Evidence, undecided: Undecided) -> None:
    """Something open, or a transcript that may lack something, decides nothing."""
    assert judge(evidence) is undecided


RESTS = RunState(exists=True, busy=False)
WORKS = RunState(exists=True, busy=True)
UNDONE_THERE = RunState(exists=True, busy=False, undone=True)

RESUMED = msgspec.structs.replace(PLAIN, resumes=1)
RELAUNCHED = msgspec.structs.replace(PLAIN, relaunches=1)


@pytest.mark.parametrize(
    ("evidence", "state", "sign"),
    [
        (seen(PLAIN, DONE), WORKS, Sign.BUSY),
        (seen(PLAIN, DONE), RESTS, Sign.AT_REST),
        (seen(PLAIN, said(error="Overloaded.")), RESTS, Sign.AT_REST),
        (seen(PLAIN, UNBEGUN, failure=BAD_MODEL), RESTS, Sign.AT_REST),
        (seen(RESUMED, HALF, refused="bash: x"), UNDONE_THERE, Sign.AT_REST),
        (seen(PLAIN, GIVEN_UP), RESTS, Sign.CUT_OFF),
        (seen(RESUMED, HALF), RESTS, Sign.CUT_OFF),
        (seen(RELAUNCHED, HALF), RESTS, Sign.CUT_OFF),
        (seen(PLAIN, HALF), RESTS, Sign.UNBEGUN),
        (seen(PLAIN, UNBEGUN), RESTS, Sign.UNBEGUN),
        (seen(RESUMED, Transcript()), RESTS, Sign.UNBEGUN),
    ],
)
def test_what_a_look_finds(evidence: Evidence, state: RunState, sign: Sign) -> None:
    assert found(evidence, state) is sign


def test_a_look_ends_what_it_would_have_to_tell_to_go_on_where_messages_were_undone() -> None:
    outcome = found(seen(RESUMED, HALF), UNDONE_THERE)
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.error) == (Status.INTERRUPTED, UNDONE)
    assert outcome.text == "First.\n\nHalf."
