"""Whose a difference is: pure rules, without a tree or a clock."""

from __future__ import annotations

import pytest

from background_agents.domain.changes import ABSENT, Certainty, Delta, Image, Kind, Segment
from background_agents.service.changes.attribution import (
    NOBODY,
    Interval,
    Write,
    certainty,
    unexplained,
)
from background_agents.testing.contracts.samples import at

OTTER, HERON = "brave-amber-otter", "calm-blue-heron"


def image(content: str) -> Image:
    """Return an image that is told from others by its content; ``-`` for nothing."""
    return ABSENT if content == "-" else Image(Kind.FILE, content * 64, 0o644, 1)


def delta(word: str) -> Delta:
    """Return a difference such as ``ab``: from a to b."""
    return Delta("x", image(word[0]), image(word[1]))


def write(word: str) -> Segment:
    change = delta(word)
    return Segment(at=at(0), path="x", before=change.before, after=change.after)


def words(found: list[Delta]) -> list[str]:
    return [(one.before.digest or "-")[0] + (one.after.digest or "-")[0] for one in found]


@pytest.mark.parametrize(
    ("found", "writes", "left"),
    [
        ("ab", [], ["ab"]),
        ("ab", ["ab"], []),
        ("-b", ["-a", "ab"], []),
        ("ac", ["ab", "bc", "ca", "ac"], []),
        ("ac", ["ab"], ["bc"]),
        ("ac", ["bc"], ["ab"]),
        ("ad", ["ab", "cd"], ["bc"]),
        # A look before this one has seen the first.
        ("bc", ["ab", "bc"], []),
        ("bd", ["ab"], ["bd"]),
        # The next look is going to see the last.
        ("ab", ["ab", "bc"], []),
        ("bb", ["ab"], []),
    ],
)
def test_known_writes_are_taken_out(found: str, writes: list[str], left: list[str]) -> None:
    assert words(unexplained(delta(found), [write(one) for one in writes])) == left


@pytest.mark.parametrize(
    ("owners", "others", "is_unsure", "sure"),
    [
        ({OTTER}, [], False, Certainty.LIKELY),
        ({OTTER, HERON}, [], False, Certainty.SHARED),
        ({OTTER, NOBODY}, [], False, Certainty.SHARED),
        ({OTTER}, [], True, Certainty.SHARED),
        ({OTTER}, [HERON], False, Certainty.SHARED),
        ({OTTER}, [NOBODY], False, Certainty.SHARED),
        ({OTTER}, [OTTER], False, Certainty.LIKELY),
    ],
)
def test_only_who_was_alone_is_likely(
    owners: set[str], others: list[str], is_unsure: bool, sure: Certainty
) -> None:
    writes = [Write(one, write("ab"), 0) for one in others]
    assert certainty(delta("bc"), Interval(owners, is_unsure), writes, OTTER) is sure


def test_another_file_of_another_is_no_reason_to_doubt() -> None:
    elsewhere = Segment(at=at(0), path="y", before=ABSENT, after=image("a"))
    interval = Interval({OTTER})
    assert certainty(delta("bc"), interval, [Write(HERON, elsewhere, 0)], OTTER) is Certainty.LIKELY
