"""A patch that a tool tells of is applied exactly, or it is no proof."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from background_agents.domain.patches import patched, replaced

TEXTS = st.lists(st.sampled_from(["a", "b", "  c", "", "\td", "-e", "+f", "\\g", "@@ -1 +1 @@"]))
WHOLE = st.tuples(TEXTS, st.booleans()).map(
    lambda one: "\n".join(one[0]) + ("\n" if one[1] and one[0] else "")
)


def diff(before: str, after: str) -> str:
    """Return a unified diff as JavaScript's library writes it."""
    old, new = (text.splitlines(keepends=True) for text in (before, after))
    lines = difflib.unified_diff(old, new, "a", "b", n=3)
    ended = (
        one if one.endswith("\n") else f"{one}\n\\ No newline at end of file\n" for one in lines
    )
    return "".join(ended)


@given(before=WHOLE, after=WHOLE)
def test_a_diff_makes_the_one_of_the_other(before: str, after: str) -> None:
    assert patched(before, diff(before, after)) == after


def test_indentation_that_was_taken_away_is_put_back() -> None:
    """As OpenCode 1 does it, of all lines alike."""
    before = "def f():\n\tif x:\n\n\t\treturn 1\n\treturn 2\n"
    patch = (
        "--- a\n+++ b\n@@ -2,4 +2,5 @@\n if x:\n \n-\treturn 1\n+\treturn 3\n+\tpass\n return 2\n"
    )
    after = "def f():\n\tif x:\n\n\t\treturn 3\n\t\tpass\n\treturn 2\n"
    assert patched(before, patch) == after


@pytest.mark.parametrize("found", ["a\nX\nc\n", "a\n", "", "xa\nb\nc\n"])
def test_what_does_not_fit_is_no_proof(found: str) -> None:
    assert patched(found, "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n") is None


def test_what_could_be_meant_twice_is_no_proof() -> None:
    assert replaced("a b a", "a", "c", everywhere=False) is None
    assert replaced("a b a", "a", "c", everywhere=True) == "c b c"
    assert replaced("a b", "z", "c", everywhere=True) is None
    assert replaced("a b", "", "c", everywhere=True) is None
