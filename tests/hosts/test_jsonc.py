"""One list in somebody's JSON with comments is edited, and not a byte beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from background_agents.hosts.cli.installing.jsonc import (
    parse,
    with_entry,
    without_entry,
)

ENTRY = '/home/jörg/100 % "mine"/tui.js'

TEXTS = st.text(st.sampled_from('ab,:]}"\\/*\n ä😀'), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
GAPS = st.sampled_from(
    [
        "",
        "",
        " ",
        "\n",
        "\n  ",
        "\r\n\t",
        '// , ] "\n',
        '/* } , " // */',
        "/* a\n b */",
        " // c\r\n",
    ]
)


@st.composite
def files(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A file that OpenCode reads, in whatever layout, and what it says."""
    data = draw(st.dictionaries(st.sampled_from(["theme", "a,b", "x"]), VALUES, max_size=3))
    if draw(st.booleans()):
        data["plugin"] = draw(st.lists(VALUES, max_size=4))
    data = dict(draw(st.permutations(list(data.items()))))

    def write(value: Any) -> str:
        def gap() -> str:
            return draw(GAPS)

        if isinstance(value, dict):
            parts = [
                f"{gap()}{json.dumps(k)}{gap()}:{gap()}{write(v)}{gap()}" for k, v in value.items()
            ]
        elif isinstance(value, list):
            parts = [f"{gap()}{write(one)}{gap()}" for one in value]
        else:
            return json.dumps(value, ensure_ascii=draw(st.booleans()))
        last = f",{gap()}" if parts and draw(st.booleans()) else ""
        inside = ",".join(parts) + last if parts else gap()
        return f"{{{inside}}}" if isinstance(value, dict) else f"[{inside}]"

    return draw(GAPS) + write(data) + draw(GAPS), data


def is_within(short: str, long: str) -> bool:
    """Return whether all of one text stands in the other, in its order."""
    rest = iter(long)
    return all(one in rest for one in short)


@given(files())
def test_what_is_added_is_all_that_changes_and_can_be_taken_out_again(
    file: tuple[str, dict[str, Any]],
) -> None:
    text, data = file
    assert parse(text) == data
    old = data.get("plugin")

    new = with_entry(text, "plugin", ENTRY)

    assert parse(new) == {**data, "plugin": [*(old or []), ENTRY]}
    assert is_within(text, new)
    back = without_entry(new, "plugin", len(old or []))
    if old == []:  # an empty list says the same as none, and may go
        assert parse(back) in (data, {k: v for k, v in data.items() if k != "plugin"})
    else:
        assert back == text


@given(files(), st.integers(0, 3))
def test_any_entry_can_be_taken_out_with_its_comma_alone(
    file: tuple[str, dict[str, Any]], number: int
) -> None:
    text, data = file
    listed = data.get("plugin", [])
    if number >= len(listed):
        return
    left = listed[:number] + listed[number + 1 :]

    new = without_entry(text, "plugin", number)

    assert is_within(new, text)
    if left:
        assert parse(new) == {**data, "plugin": left}
    else:
        assert {"plugin": [], **parse(new)} == {**data, "plugin": []}  # type: ignore[dict-item]


def test_the_layout_is_taken_over() -> None:
    text = '{\n\t"plugin": [\n\t\t"a", // mine\n\t\t"b" // too\n\t]\n}\n'
    assert with_entry(text, "plugin", "c") == text.replace('"b" // too\n', '"b", // too\n\t\t"c"\n')


def test_of_two_lists_with_one_name_the_last_counts() -> None:
    assert with_entry('{"p": ["a"], "p": []}', "p", "c") == '{"p": ["a"], "p": ["c"]}'


@pytest.mark.parametrize("text", ["", " \n", "// nothing yet", "/* nothing */\n"])
def test_a_file_that_says_nothing_says_our_entry(text: str) -> None:
    new = with_entry(text, "plugin", ENTRY)
    assert new.startswith(text)
    assert parse(new) == {"plugin": [ENTRY]}


@pytest.mark.parametrize(
    "text",
    ["[]", '"x"', '{"plugin": {}}', '{"plugin": "a"}', "{", '{"a": 1,, }', "{,}", '{"plugin": [,]}',
     '{"a": 1} x', '{"a": /* }'],
)  # fmt: skip
def test_what_opencode_would_not_take_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        with_entry(text, "plugin", ENTRY)
