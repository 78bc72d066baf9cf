"""Whatever stands in an artifact's place is read as front matter, or refused as none."""

from __future__ import annotations

import time

import pytest
from fuzzing import fuzzed
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from background_agents.adapters.files.artifacts import PROMPT_CHARS, parse, render
from background_agents.testing.contracts.samples import finished

FENCES = ["---\n", "---", "\n", "\r\n", "\r", "\u2028", "\x85"]
YAML = [": ", ":", '"', "'", "\\", "{", "[", "# ", "&a", "*a", "!!", "id: ", "title: "]
VALUES = ["null", "1e999", "NaN", "\ufeff", "\x00", "\ud800"]
pieces = st.sampled_from([*FENCES, *YAML, *VALUES])
hostile = st.lists(st.one_of(pieces, st.text(max_size=8)), max_size=40).map("".join)


@fuzzed
@given(hostile | hostile.map("---\n{}\n---\n".format))
@example("---\na: " + "[" * 100_000 + "\n---\n")
@example("---\na: " + '{"a":' * 100_000 + "\n---\n")
@example("---\na:  [[1]]\n---\n")
@example("---\na: " + "9" * 100_000 + "\n---\n")
@example("---\n---\n")
def test_reading_gives_scalars_or_a_value_error(text: str) -> None:
    """No other exception comes out, and no nested value."""
    try:
        front, body = parse(text)
    except ValueError:
        return
    assert all(value is None or isinstance(value, str | int | float) for value in front.values())
    assert text.startswith("---\n")
    assert text.endswith(body)


@fuzzed
@given(title=hostile, summary=hostile, prompt=hostile, error=st.none() | hostile, result=hostile)
def test_what_agents_wrote_comes_back_and_nothing_more(
    title: str, summary: str, prompt: str, error: str | None, result: str
) -> None:
    """No text of an agent adds, changes or ends the front matter."""
    delegation = replace(finished(), title=title, summary=summary, prompt=prompt, error=error)
    plain, _ = parse(render(finished(), ""))
    front, body = parse(render(delegation, result))
    written = {"title": title, "summary": summary, "error": error, "prompt": prompt[:PROMPT_CHARS]}
    assert body == result
    assert front == {**plain, **written}


@fuzzed
@given(hostile, st.data())
def test_a_torn_artifact_is_refused_or_shorter(result: str, data: st.DataObject) -> None:
    """Cut off anywhere: the front matter is whole or said to be none."""
    text = render(finished(), result)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    whole, _ = parse(text)
    try:
        front, body = parse(cut)
    except ValueError:
        return
    assert front == whole
    assert result.startswith(body)


@pytest.mark.parametrize("text", ["---\n" + "a: 1\n" * 200_000, ": " * 500_000])
def test_a_million_characters_are_read_in_no_time(text: str) -> None:
    """No input makes it take more than time in proportion."""
    begun = time.perf_counter()
    with pytest.raises(ValueError, match="Front matter"):
        parse(text)
    assert time.perf_counter() - begun < 2
