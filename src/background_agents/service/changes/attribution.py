"""Whose a difference is that a look at a working tree has found.

Pure. What known writes explain is theirs; the rest is by whoever had a command running: that of one
delegation alone makes it likely, anything else leaves it shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from background_agents.domain.changes import Certainty, Delta, Image, Segment

NOBODY = ""
"""The owner of what no delegation does: the supervisor's own calls."""


@dataclass
class Interval:
    """What is known of the time between two looks at a tree."""

    owners: set[str] = field(default_factory=set)
    """Whose commands ran in it."""
    is_unsure: bool = False
    """A command began before the look was over that was to be over before it."""

    @property
    def delegations(self) -> frozenset[str]:
        return frozenset(self.owners - {NOBODY})

    def and_then(self, other: Interval) -> Interval:
        """Return both as one."""
        return Interval(self.owners | other.owners, self.is_unsure or other.is_unsure)


@dataclass(frozen=True)
class Write:
    """A change that a tool has told of, by whom."""

    owner: str
    segment: Segment
    at_s: float
    """When it was known, as ``Clock.monotonic_s`` says."""


def is_explained(delta: Delta, writes: Sequence[Segment]) -> bool:
    """Return whether known writes alone lead from before to after."""
    starts = [at for at, one in enumerate(writes) if is_same(one.before, delta.before)]
    return is_same(delta.before, delta.after) or any(
        _leads(writes[at:], delta.after) for at in starts
    )


def unexplained(delta: Delta, writes: Sequence[Segment]) -> list[Delta]:
    """Return what of a difference is no known write, in order.

    The writes, oldest first, are put between before and after like dominoes: where two do not fit,
    somebody else wrote in between. One that an earlier look has seen is left out.
    """
    if is_explained(delta, writes):
        return []
    now, found = delta.before, list[Delta]()
    for one in _from(now, writes):
        if not is_same(now, one.before):
            found.append(Delta(delta.path, now, one.before))
        now = one.after
    if not is_same(now, delta.after):
        found.append(Delta(delta.path, now, delta.after))
    return found


def certainty(delta: Delta, interval: Interval, writes: Iterable[Write], owner: str) -> Certainty:
    """Return how sure it is that what is left of a difference is by ``owner``."""
    by_others = any(one.owner != owner and one.segment.path == delta.path for one in writes)
    is_alone = interval.owners == {owner} and not interval.is_unsure
    return Certainty.LIKELY if is_alone and not by_others else Certainty.SHARED


def is_sure(one: Segment) -> bool:
    """Return whether a write is its owner's beyond doubt."""
    return one.certainty is Certainty.SURE


def is_same(one: Image, other: Image) -> bool:
    """Return whether two images are of the same thing; git knows of a mode but one bit."""
    mine = (one.kind, one.digest, one.size, bool(one.mode & 0o100))
    return mine == (other.kind, other.digest, other.size, bool(other.mode & 0o100))


def _leads(writes: Sequence[Segment], to: Image) -> bool:
    now = writes[0].before
    for one in writes:
        if not is_same(now, one.before):
            return False
        now = one.after
        if is_same(now, to):
            return True
    return False


def _from(now: Image, writes: Sequence[Segment]) -> Sequence[Segment]:
    """Return the writes that come after an image."""
    for at, one in enumerate(writes):
        if is_same(one.before, now):
            return writes[at:]
    seen = [at for at, one in enumerate(writes) if is_same(one.after, now)]
    return writes[seen[-1] + 1 :] if seen else writes
