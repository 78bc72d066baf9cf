"""Reads JSON with comments, and edits one list in it in place: all else stays byte for byte.

An edit that would not say exactly what was meant is not made. Knows nothing of OpenCode; of
libraries that keep comments, the one that edits well starts Node for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

_STRING_OR_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_STRING_OR_LAST_COMMA = re.compile(r'("(?:\\.|[^"\\])*")|(?<=[^\[{,:\s])\s*,(?=\s*[}\]])')
_GAP = re.compile(r"[\s,:]*")
_DECODER = json.JSONDecoder()


class _Item(NamedTuple):
    """A member of an object, or one entry of a list."""

    key: object
    value: object
    begin: int
    start: int
    """Of the value; a member begins with its key."""
    end: int


class _Text:
    """A text, and what is in it without comments; every place is the same in both."""

    def __init__(self, text: str) -> None:
        self.text = text
        bare = _STRING_OR_COMMENT.sub(lambda found: found[1] or _blank(found[0]), text)
        self.bare = bare.replace("\ufeff", " ", 1)
        self.plain = _STRING_OR_LAST_COMMA.sub(lambda one: one[1] or _blank(one[0]), self.bare)
        self.root = len(self.plain) - len(self.plain.lstrip())
        self.is_blank = self.root == len(self.plain)
        self.value: object = {} if self.is_blank else json.loads(self.plain)

    def items(self, opening: int) -> tuple[list[_Item], int]:
        """Return what the object or list at ``opening`` holds, and where it closes."""
        found: list[_Item] = []
        at = self._next(opening + 1)
        while self.plain[at] not in "]}":
            begin, key = at, None
            if self.plain[opening] == "{":
                key, at = _DECODER.raw_decode(self.plain, at)
                at = self._next(at)
            value, end = _DECODER.raw_decode(self.plain, at)
            found.append(_Item(key, value, begin, at, end))
            at = self._next(end)
        return found, at

    def _next(self, at: int) -> int:
        found = _GAP.match(self.plain, at)
        return found.end() if found else at

    def member(self, opening: int, key: str) -> _Item | None:
        """Return a member; of two with one key the last, which counts."""
        held, _ = self.items(opening)
        return next((one for one in reversed(held) if one.key == key), None)

    def comma(self, start: int, end: int) -> int | None:
        """Return where a comma is between two items."""
        at = self.bare.find(",", start, end)
        return None if at < 0 else at

    def without(self, *cuts: tuple[int, int]) -> str:
        """Return the text without some of its ranges, given in their order."""
        starts = [0, *(end for _, end in cuts)]
        ends = [*(start for start, _ in cuts), len(self.text)]
        return "".join(self.text[a:b] for a, b in zip(starts, ends, strict=True))


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def parse(text: str) -> object:
    """Return what a text says: an empty object if nothing.

    Raises:
        ValueError: it is no JSON; the error says where.
    """
    return _Text(text).value


def with_entry(text: str, key: str, entry: str) -> str:
    """Return ``text`` with one more string at the end of its list ``key``, which may be missing.

    Raises:
        ValueError: the text is no JSON, or has something else than a list there.
    """
    one, member = _opened(text, key)
    old = member.value if member else []
    wanted = {**_members(one), key: [*old, entry]}  # type: ignore[misc]
    quoted = json.dumps(entry, ensure_ascii=False)
    if member:
        return _first(_appended(one, member.start, quoted), wanted)
    quoted = f"{json.dumps(key)}: [{quoted}]"
    if one.is_blank:
        return _first((f"{text}{{{quoted}}}\n", f"{text}\n{{{quoted}}}\n"), wanted)
    return _first(_appended(one, one.root, quoted), wanted)


def renamed(text: str, key: str, number: int, entry: str) -> str:
    """Return ``text`` with another string in an entry, be it that alone or have options beside."""
    one, member = _opened(text, key)
    if member is None:
        raise ValueError(f'there is no "{key}"')
    item = one.items(member.start)[0][number]
    named: _Item | None = item
    if isinstance(item.value, list):
        named = one.items(item.start)[0][0]
    elif isinstance(item.value, dict):
        named = one.member(item.start, "package")
    if named is None:
        raise ValueError(f'entry {number} of "{key}" has no name')
    quoted = json.dumps(entry, ensure_ascii=False)
    new = text[: named.start] + quoted + text[named.end :]
    parse(new)
    return new


def without_entry(text: str, key: str, number: int) -> str:
    """Return ``text`` without an entry of its list ``key``, and without the list if it was all."""
    one, member = _opened(text, key)
    if member is None:
        raise ValueError(f'there is no "{key}"')
    held, close = one.items(member.start)
    left = [item.value for index, item in enumerate(held) if index != number]
    new = _first(_removed(one, held, close, number), {**_members(one), key: left})
    return new if left else _without_empty(new, key)


def _without_empty(text: str, key: str) -> str:
    one, member = _opened(text, key)
    if member is None or text[member.start + 1 : member.end - 1].strip():
        return text  # somebody's comment is in there
    held, close = one.items(one.root)
    wanted = {name: value for name, value in _members(one).items() if name != key}
    return _first((*_removed(one, held, close, held.index(member)), text), wanted, one.value)


def _opened(text: str, key: str) -> tuple[_Text, _Item | None]:
    one = _Text(text)
    if not isinstance(one.value, dict):
        raise ValueError("it is no object")
    member = None if one.is_blank else one.member(one.root, key)
    if member is not None and not isinstance(member.value, list):
        raise ValueError(f'"{key}" is no list')
    return one, member


def _members(one: _Text) -> dict[str, object]:
    return dict(one.value) if isinstance(one.value, dict) else {}


def _first(tries: Iterator[str] | tuple[str, ...], *wanted: object) -> str:
    """Return the first text that says what is wanted."""
    for new in tries:
        try:
            if parse(new) in wanted:
                return new
        except ValueError:
            continue  # a comment has swallowed it; the next is plainer
    raise ValueError("what stands there cannot be edited")


def _appended(one: _Text, opening: int, piece: str) -> Iterator[str]:
    """Yield ``text`` with one more item behind the others, the most beautiful way first."""
    text = one.text
    held, close = one.items(opening)
    if not held:
        yield text[: opening + 1] + piece + text[opening + 1 :]
        return
    end = held[-1].end
    comma = one.comma(end, close)
    indent = re.search(r"\n([ \t]*)$", text[opening : held[-1].begin])
    found = re.compile(r"\r?\n").search(text, end if comma is None else comma, close)
    if indent and found:
        before = text[:end] + ("," if comma is None else "") + text[end : found.start()]
        line = found[0] + indent[1] + piece + ("," if comma is not None else "")
        yield before + line + text[found.start() :]
    yield text[:end] + f", {piece}" + text[end:]


def _removed(one: _Text, held: list[_Item], close: int, number: int) -> Iterator[str]:
    """Yield ``text`` without an item and one comma, and with the blanks before it gone first."""
    item = held[number]
    is_last = number + 1 == len(held)
    blanks = len(one.text[: item.begin].rstrip())
    before = one.comma(held[number - 1].end, item.begin) if number else None
    behind = one.comma(item.end, close if is_last else held[number + 1].begin)
    # The way back from how an item is added: on a line of its own it brings its comma.
    if before is not None and is_last and "\n" not in one.text[blanks : item.begin]:
        behind = None
    for begin in (blanks, item.begin):
        if behind is not None:
            yield one.without((begin, item.end), (behind, behind + 1))
        elif before is not None:
            yield one.without((before, before + 1), (max(begin, before + 1), item.end))
        else:
            yield one.without((begin, item.end))
