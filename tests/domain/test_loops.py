"""The same call with the same answer, in a row, is a loop; everything else is work."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from background_agents.domain.loops import newest_loop
from background_agents.domain.transcript import Message, ToolCall, Transcript


def call(tool: str, fingerprint: str, state: str = "completed") -> ToolCall:
    return ToolCall(tool, state, fingerprint=fingerprint)


def said(*messages: tuple[ToolCall, ...]) -> Transcript:
    numbered = enumerate(messages, 1)
    return Transcript(
        tuple(Message(id=f"a{number}", role="assistant", tools=calls) for number, calls in numbered)
    )


def counted(*messages: tuple[ToolCall, ...]) -> tuple[int, str]:
    loop = newest_loop(said(*messages))
    return (loop.times, loop.since) if loop else (0, "")


SAME = call("bash", "1")


def test_equal_calls_are_counted_from_the_newest_back() -> None:
    assert counted() == (0, "")
    assert counted((SAME,)) == (1, "a1")
    assert counted((SAME,), (), (SAME, SAME)) == (3, "a1")


def test_another_call_in_between_begins_anew() -> None:
    assert counted((SAME,), (SAME,), (call("read", "2"),), (SAME,)) == (1, "a4")
    assert counted((SAME,), (call("read", "1"), SAME), (SAME,)) == (2, "a2")


def test_another_answer_is_no_loop() -> None:
    assert counted((SAME,), (SAME,), (call("bash", "3"),)) == (1, "a3")


def test_what_goes_on_or_is_unknown_is_not_compared() -> None:
    assert counted((SAME,), (SAME,), (call("bash", "", "running"),)) == (2, "a1")
    assert counted((call("bash", ""),), (call("bash", ""),)) == (1, "a2")


@given(st.lists(st.sampled_from("ab"), min_size=1))
def test_it_is_the_run_of_equal_ones_at_the_end(names: list[str]) -> None:
    times, _ = counted(*((call("bash", name),) for name in names))
    assert names[-times:] == [names[-1]] * times
    assert times == len(names) or names[-times - 1] != names[-1]
