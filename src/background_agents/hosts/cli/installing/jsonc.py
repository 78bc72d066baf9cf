"""Reads JSON with comments, and edits one list in it in place: all else stays byte for byte.

An edit that would not say exactly what was meant is not made. Knows nothing of OpenCode; of
libraries that keep comments, the one that edits well starts Node for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

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
    one, data, member = _opened(text, key)
    wanted = {**data, key: [*(data[key] if member else ()), entry]}
    quoted = json.dumps(entry, ensure_ascii=False)
    if member:
        return _first(_appended(one, member.start, quoted), wanted)
    quoted = f"{json.dumps(key)}: [{quoted}]"
    if one.is_blank:
        return _first((f"{text}{{{quoted}}}\n", f"{text}\n{{{quoted}}}\n"), wanted)
    return _first(_appended(one, one.root, quoted), wanted)


def without_entry(text: str, key: str, number: int) -> str:
    """Return ``text`` without an entry of its list ``key``, and without the list if it was all.

    Raises:
        ValueError: as above.
    """
    one, data, member = _opened(text, key)
    if member is None:
        raise ValueError(f'it has no "{key}"')
    held, close = one.items(member.start)
    wanted = {**data, key: [item.value for at, item in enumerate(held) if at != number]}
    around = text[member.start + 1 : held[number].begin] + text[held[number].end : close]
    if not around.strip(", \t\r\n"):  # nobody's comment is in there either
        held, close = one.items(one.root)
        number = held.index(member)
        del wanted[key]
    return _first(_removed(one, held, close, number), wanted)


def _opened(text: str, key: str) -> tuple[_Text, dict[str, Any], _Item | None]:
    one = _Text(text)
    if not isinstance(one.value, dict):
        raise ValueError("it is no object")
    held = [] if one.is_blank else one.items(one.root)[0]
    member = next((item for item in reversed(held) if item.key == key), None)
    if member is not None and not isinstance(member.value, list):
        raise ValueError(f'"{key}" is no list')
    return one, one.value, member


def _first(tries: Iterable[str], wanted: object) -> str:
    """Return the first text that says what is wanted."""
    for new in tries:
        try:
            if parse(new) == wanted:
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
    comma = one.bare.find(",", end, close)
    indent = re.search(r"\n([ \t]*)$", text[opening : held[-1].begin])
    found = re.compile(r"\r?\n").search(text, max(end, comma), close)
    if indent and found:
        before, after = (",", "") if comma < 0 else ("", ",")
        line = found[0] + indent[1] + piece + after
        yield text[:end] + before + text[end : found.start()] + line + text[found.start() :]
    yield text[:end] + f", {piece}" + text[end:]


def _removed(one: _Text, held: list[_Item], close: int, number: int) -> Iterator[str]:
    """Yield ``text`` without an item and one comma, and with the blanks before it gone first."""
    item, is_last = held[number], number + 1 == len(held)
    blanks = len(one.text[: item.begin].rstrip())
    before = one.bare.find(",", held[number - 1].end, item.begin) if number else -1
    behind = one.bare.find(",", item.end, close if is_last else held[number + 1].begin)
    # The way back from how an item is added: on a line of its own it brings its comma.
    if before >= 0 and is_last and "\n" not in one.text[blanks : item.begin]:
        behind = -1
    comma = behind if behind >= 0 else before
    for begin in (blanks, item.begin):
        ranges = [(max(begin, before + 1), item.end), *([(comma, comma + 1)] if comma >= 0 else [])]
        text = one.text
        for start, end in sorted(ranges, reverse=True):
            text = text[:start] + text[end:]
        yield text
