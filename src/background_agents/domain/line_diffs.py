"""What differs between two texts, line by line.

Pure, on raw bytes: how a text is encoded and how its lines end is its own affair. Always right, and
bounded: where two texts have too little in common to be compared in good time, what lies between
their common beginning and end counts as replaced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

CONTEXT = 3
"""Lines around a change that are shown, as everybody does."""

MOST_LINES = 20_000
"""Between common beginning and end; comparing so many takes 0.2 s at worst."""

_MOST_PAIRS = 300_000
"""Of equal lines: 0.1 s. With more, lines that are everywhere, such as empty ones, say nothing."""

_BINARY_WITHIN = 8_000
"""Bytes in which a NUL makes a file binary: git's own rule."""

Span = tuple[int, int, int, int]
"""Lines ``[a, b)`` of the old text that lines ``[c, d)`` of the new one have taken the place of."""


class Hunk(NamedTuple):
    """A change with what is around it. Line numbers count from 0."""

    old: int
    old_lines: int
    new: int
    new_lines: int
    lines: Sequence[tuple[str, bytes]]
    """Each with a mark: a space, ``-`` or ``+``; with the end that it has."""

    @property
    def header(self) -> str:
        """Its first line as everybody writes it; there lines count from 1."""
        old = f"{self.old + bool(self.old_lines)},{self.old_lines}"
        return f"@@ -{old} +{self.new + bool(self.new_lines)},{self.new_lines} @@"


def is_text(content: bytes) -> bool:
    """Return whether a content is one that has lines."""
    return b"\0" not in content[:_BINARY_WITHIN]


def lines_of(content: bytes) -> list[bytes]:
    r"""Return the lines of a text with their ends; ``\n`` alone ends a line."""
    return content.splitlines(keepends=True) if b"\r" not in content else _split(content)


def _split(content: bytes) -> list[bytes]:
    # Python's own would break at a lone carriage return, too, where nobody else does.
    *whole, rest = content.split(b"\n")
    return [*(line + b"\n" for line in whole), *([rest] if rest else [])]


def counts(old: bytes, new: bytes) -> tuple[int, int]:
    """Return how many lines were added and how many removed."""
    found = spans(lines_of(old), lines_of(new))
    return sum(d - c for _, _, c, d in found), sum(b - a for a, b, _, _ in found)


def spans(old: Sequence[bytes], new: Sequence[bytes]) -> list[Span]:
    """Return what differs, in order."""
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    mine, other = old[head : len(old) - tail], new[head : len(new) - tail]
    if not mine and not other:
        return []
    if not mine or not other or max(len(mine), len(other)) > MOST_LINES:
        return [(head, head + len(mine), head, head + len(other))]
    counted = Counter(mine)
    pairs = sum(counted[line] for line in other)
    from difflib import SequenceMatcher  # most programs that read records compare no texts

    matcher = SequenceMatcher(None, mine, other, autojunk=pairs > _MOST_PAIRS)
    return [
        (head + a, head + b, head + c, head + d)
        for kind, a, b, c, d in matcher.get_opcodes()
        if kind != "equal"
    ]


def _common(old: Sequence[bytes], new: Sequence[bytes]) -> int:
    """Return with how many equal lines both begin."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(old), len(new)))


def hunks(old: bytes, new: bytes, context: int = CONTEXT) -> Iterator[Hunk]:
    """Yield what differs, with ``context`` lines around it; what is near is one hunk."""
    mine, other = lines_of(old), lines_of(new)
    group: list[Span] = []
    for span in spans(mine, other):
        if group and span[0] - group[-1][1] > 2 * context:
            yield _hunk(mine, other, group, context)
            group = []
        group.append(span)
    if group:
        yield _hunk(mine, other, group, context)


def _hunk(old: Sequence[bytes], new: Sequence[bytes], group: Sequence[Span], context: int) -> Hunk:
    first, last = group[0], group[-1]
    before = min(context, first[0])
    begin, end = first[0] - before, min(last[1] + context, len(old))
    lines: list[tuple[str, bytes]] = []
    at = begin
    for a, b, c, d in group:
        lines += [(" ", line) for line in old[at:a]]
        lines += [("-", line) for line in old[a:b]]
        lines += [("+", line) for line in new[c:d]]
        at = b
    lines += [(" ", line) for line in old[at:end]]
    new_end = last[3] + end - last[1]
    return Hunk(begin, end - begin, first[2] - before, new_end - first[2] + before, lines)
