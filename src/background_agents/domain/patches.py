"""What a tool says it wrote, applied to what was there before: a proof, if that is there now.

Pure. Only what fits exactly counts; whoever gets None knows that there is no proof.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

Marked = tuple[str, str]
"""A line of a hunk: a space, ``-`` or ``+``, and its text with its end."""

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")

_LINE = re.compile(r"[^\n]*\n|[^\n]+")


def patched(text: str, patch: str) -> str | None:
    """Return ``text`` with the hunks of a unified diff applied; None where one does not fit.

    OpenCode 1 takes away the indentation that all lines of a diff have in common. So what is
    missing before one that was there already is taken as missing before each.
    """
    old: list[str] = _LINE.findall(text)
    new: list[str] = []
    done = 0
    for begin, hunk in _hunks(patch):
        count = sum(mark != "+" for mark, _ in hunk)
        if begin < done or begin + count > len(old):
            return None
        written = _written(old[begin : begin + count], hunk)
        if written is None:
            return None
        new += [*old[done:begin], *written]
        done = begin + count
    return "".join((*new, *old[done:]))


def replaced(text: str, old: str, new: str, *, everywhere: bool) -> str | None:
    """Return ``text`` with ``old`` replaced; None unless it is clear which is meant."""
    if not old or (count := text.count(old)) == 0 or (count > 1 and not everywhere):
        return None
    return text.replace(old, new)


def _hunks(patch: str) -> Iterator[tuple[int, list[Marked]]]:
    """Yield after how many old lines each hunk begins, and its lines."""
    lines = patch.split("\n")
    for at, line in enumerate(lines):
        if (head := _HUNK.match(line)) is not None:
            start, count = int(head[1]), int(head[2] or 1)
            written = int(head[4] or 1)
            yield (start - 1 if count else start), _body(lines[at + 1 :], count, written)


def _body(lines: Sequence[str], old: int, new: int) -> list[Marked]:
    body: list[Marked] = []
    for line in lines:
        if line.startswith("\\") and body:
            body[-1] = (body[-1][0], body[-1][1].removesuffix("\n"))
        elif old <= 0 and new <= 0:
            break
        else:
            mark = line[:1] or " "
            old, new = old - (mark != "+"), new - (mark != "-")
            body.append((mark, line[1:] + "\n"))
    return body


def _written(found: Sequence[str], hunk: Sequence[Marked]) -> list[str] | None:
    """Return what a hunk makes of the lines that were found; None if they are others."""
    there = iter(found)
    pairs = [(mark, line, next(there) if mark != "+" else "") for mark, line in hunk]
    old = [(line, actual) for mark, line, actual in pairs if mark != "+"]
    indent = next((_missing(line, actual) for line, actual in old if line.strip()), "")
    if indent is None or not all(_is_same(line, actual, indent) for line, actual in old):
        return None
    new = ((actual if mark == " " else _indented(line, indent)) for mark, line, actual in pairs)
    return [line for line, (mark, _) in zip(new, hunk, strict=True) if mark != "-"]


def _missing(line: str, actual: str) -> str | None:
    before = actual.removesuffix(line)
    return before if actual.endswith(line) and not before.strip() else None


def _is_same(line: str, actual: str, indent: str) -> bool:
    return actual == indent + line or (not line.strip() and not actual.strip())


def _indented(line: str, indent: str) -> str:
    return indent + line if line.strip() else line
