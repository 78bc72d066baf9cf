"""What a transcript proves about a run, and what it gives as its result."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from background_agents.domain.events import Usage
from background_agents.domain.transcript import Message, ToolCall, Transcript, Verdict
from background_agents.testing.contracts.samples import at


def user(name: str) -> Message:
    return Message(id=name, role="user", text="Do it.")


def answer(name: str, to: str | None = "u1", **facts: Any) -> Message:
    return Message(id=name, role="assistant", answers=to, **facts)


DONE: dict[str, Any] = {"finished": True, "text": "Done."}

VERDICTS = [
    ("nothing was said yet", [], Verdict.GOING_ON),
    ("only the prompt is there", [user("u1")], Verdict.GOING_ON),
    ("the answer is being written", [user("u1"), answer("a1", text="Do")], Verdict.GOING_ON),
    ("the answer is whole", [user("u1"), answer("a1", **DONE)], Verdict.FINISHED),
    (
        "a step called tools and the next one answers",
        [user("u1"), answer("a1", tools=(ToolCall("read", "completed"),)), answer("a2", **DONE)],
        Verdict.FINISHED,
    ),
    (
        "a finished answer is followed by an unanswered steer",
        [user("u1"), answer("a1", **DONE), user("u2")],
        Verdict.GOING_ON,
    ),
    (
        "the steer was answered",
        [user("u1"), answer("a1", **DONE), user("u2"), answer("a2", to="u2", **DONE)],
        Verdict.FINISHED,
    ),
    ("it failed", [user("u1"), answer("a1", error="overloaded")], Verdict.FAILED),
    (
        "it was aborted",
        [user("u1"), answer("a1", error="aborted", aborted=True)],
        Verdict.ABORTED,
    ),
    (
        "an earlier failure was got over",
        [user("u1"), answer("a1", error="overloaded"), answer("a2", **DONE)],
        Verdict.FINISHED,
    ),
]


@pytest.mark.parametrize(
    ("messages", "verdict"), [case[1:] for case in VERDICTS], ids=[case[0] for case in VERDICTS]
)
def test_verdict(messages: list[Message], verdict: Verdict) -> None:
    assert Transcript(tuple(messages)).verdict is verdict


MESSAGES = st.lists(
    st.builds(
        Message,
        id=st.sampled_from(["m1", "m2", "m3", "m4"]),
        role=st.sampled_from(["user", "assistant"]),
        text=st.sampled_from(["", " ", "words"]),
        answers=st.sampled_from([None, "m1", "m2"]),
        finished=st.booleans(),
        error=st.sampled_from([None, "error"]),
        aborted=st.booleans(),
    )
).map(lambda messages: Transcript(tuple(messages)))


@given(MESSAGES)
def test_a_verdict_rests_on_the_newest_answer(transcript: Transcript) -> None:
    newest = transcript.answers[-1] if transcript.answers else Message(id="", role="assistant")
    match transcript.verdict:
        case Verdict.FINISHED:
            assert newest.finished
            assert newest.error is None
            assert not newest.aborted
        case Verdict.FAILED:
            assert newest.error is not None
        case Verdict.ABORTED:
            assert newest.aborted
        case Verdict.GOING_ON:
            assert newest.error is None
            assert not newest.aborted


@given(MESSAGES)
def test_an_unanswered_prompt_at_the_end_never_counts_as_finished(transcript: Transcript) -> None:
    asked_again = Transcript((*transcript.messages, user("new")))
    assert asked_again.verdict is not Verdict.FINISHED


@given(MESSAGES, st.sampled_from(["m1", "m9"]))
def test_since_is_a_tail_that_begins_with_the_message(transcript: Transcript, name: str) -> None:
    part = transcript.since(name)
    assert transcript.messages[len(transcript.messages) - len(part.messages) :] == part.messages
    if any(message.id == name for message in transcript.messages):
        assert part.messages[0].id == name
    else:
        assert part == transcript


def test_the_result_is_the_last_text_and_everything_is_all_of_it() -> None:
    transcript = Transcript(
        (
            user("u1"),
            answer("a1", text="Let me look."),
            answer("a2", text="It is PKCE."),
            answer("a3", text="  "),
        )
    )
    assert transcript.result == "It is PKCE."
    assert transcript.everything == "Let me look.\n\nIt is PKCE."
    assert (Transcript().result, Transcript().everything) == ("", "")


def test_usage_adds_up_what_the_answers_used() -> None:
    calls = (ToolCall("read", "completed"), ToolCall("bash", "error"))
    transcript = Transcript(
        (
            user("u1"),
            answer("a1", usage=Usage(10, 2, cost_usd=0.5), tools=calls),
            answer("a2", usage=Usage(20, 3, cost_usd=0.25)),
        )
    )
    assert transcript.usage == Usage(30, 5, cost_usd=0.75, tool_calls=2, turns=2)
    assert transcript.usage.tokens == 35


def test_what_was_kept_completes_what_is_stored_and_never_shortens_it() -> None:
    transcript = Transcript(
        (
            Message(id="m1", role="assistant", text=""),
            Message(id="m2", role="assistant", text="So "),
            Message(id="m3", role="assistant", text="So far so good."),
            Message(id="m4", role="assistant", text="Another"),
        )
    )
    kept = {"m1": "All", "m2": "So far", "m3": "So far", "m4": "One", "m9": "gone"}
    texts = [message.text for message in transcript.completed_by(kept).messages]
    assert texts == ["All", "So far", "So far so good.", "Another"]
    assert transcript.completed_by({}) is transcript


def test_tools_side_by_side_take_their_time_once() -> None:
    def bash(begin: float | None, end: float | None) -> ToolCall:
        moments = {
            name: at(when)
            for name, when in (("began_at", begin), ("ended_at", end))
            if when is not None
        }
        return ToolCall("bash", "completed", **moments)

    def seconds(*messages: tuple[ToolCall, ...]) -> float:
        answers = (answer(f"a{number}", tools=tools) for number, tools in enumerate(messages))
        return Transcript((user("u1"), *answers)).tools_for.total_seconds()

    assert seconds() == 0
    assert seconds((bash(1, 4), bash(2, 3)), (bash(10, 12),)) == 5
    assert seconds((bash(1, 4), bash(3, 7)), (bash(6, 6.5),)) == 6
    assert seconds((bash(5, 3), bash(1, None), bash(None, 9))) == 0  # a clock that was set back
