"""From a terminal's bytes to keys (arrows, pastes, typed text in UTF-8), and to a line. Sans-I/O.

Bytes may arrive cut anywhere. A lone escape byte is a key or the beginning of a sequence, and
only time tells which: ``patience_s`` says how long to wait before ``flush``.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

TEXT, PASTE = "text", "paste"
"""Keys that carry text: one typed character, and what was pasted."""

_ESCAPE_S = 0.05
"""A terminal writes a sequence at once; over a slow line its bytes are milliseconds apart."""

_PASTE_S = 2.0
"""A large paste comes in pieces; without its end, everything typed would be taken for it."""

_BURST = 3
"""Letters that come at once and are not all the same: nobody types so; a held key repeats."""

_ESC = b"\x1b"

_PASTE_BEGIN, _PASTE_END = b"\x1b[200~", b"\x1b[201~"

_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~])")

_PLAIN = re.compile(r"\x1b[\[O][0-9;]*[A-Z~]")

_CUT_OFF = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?")

_FINAL = {
    "A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end",
}  # fmt: skip

_NUMBERED = {
    "1": "home", "3": "delete", "4": "end", "5": "page up", "6": "page down", "7": "home",
    "8": "end",
}  # fmt: skip

_CONTROL = {
    0x01: "home", 0x03: "ctrl-c", 0x05: "end", 0x08: "backspace", 0x09: "tab", 0x0A: "enter",
    0x0B: "ctrl-k", 0x0C: "ctrl-l", 0x0D: "enter", 0x15: "ctrl-u", 0x17: "ctrl-w",
    0x1A: "ctrl-z", 0x7F: "backspace",
}  # fmt: skip

_WORD_BACK = (b"\x7f", b"\x08")
"""After an escape: Alt and backspace."""


class Key(NamedTuple):
    """A key that was pressed, by name; ``text`` is what it typed, if anything."""

    name: str
    text: str = ""


class KeyDecoder:
    """Cuts what a terminal sends into keys."""

    def __init__(self) -> None:
        self._held = b""
        self._pasted: bytes | None = None
        """What has come of a paste that has not ended."""
        self._letters = getincrementaldecoder("utf-8")("replace")

    @property
    def patience_s(self) -> float | None:
        """How long to wait for more before ``flush``; None where nothing is held back."""
        if self._pasted is not None:
            return _PASTE_S
        return _ESCAPE_S if self._held else None

    def feed(self, data: bytes) -> list[Key]:
        """Take ``data`` and return the keys that it completes."""
        self._held += data
        keys: list[Key] = []
        while self._held and (found := self._next()) is not None:
            keys += found
        return keys

    def flush(self) -> list[Key]:
        """Return what was held back as it is, since nothing more has come."""
        held, self._held = self._held, b""
        if self._pasted is not None:
            pasted, self._pasted = self._pasted + held, None
            return [_paste(pasted)]
        return [Key("escape")] if held == _ESC else []

    def _next(self) -> list[Key] | None:
        """Take one thing from what is held; None where its end has not come."""
        if self._pasted is not None:
            return self._more_pasted(self._pasted)
        if self._held.startswith(_ESC):
            return self._sequence()
        end = self._held.find(_ESC)
        plain, self._held = (self._held, b"") if end < 0 else (self._held[:end], self._held[end:])
        return [_letter(one) for one in self._letters.decode(plain)]

    def _sequence(self) -> list[Key] | None:
        if _CUT_OFF.fullmatch(self._held):
            return None
        if self._held.startswith(_PASTE_BEGIN):
            self._held, self._pasted = self._held[len(_PASTE_BEGIN) :], b""
            return []
        found = _SEQUENCE.match(self._held)
        if found is None:
            return self._with_alt()
        self._held = self._held[found.end() :]
        return _named(found[0].decode("ascii"))

    def _with_alt(self) -> list[Key]:
        """Take a key that was pressed together with Alt; only one of these means anything."""
        rest = self._held[1:]
        if rest.startswith(_ESC):
            self._held = rest
            return [Key("escape")]
        is_word = rest.startswith(_WORD_BACK)
        # One letter goes with the escape, however many bytes it has.
        length = len(rest[:4].decode("utf-8", "ignore")[:1].encode()) or 1
        self._held = rest[length:]
        return [Key("ctrl-w")] if is_word else []

    def _more_pasted(self, before: bytes) -> list[Key] | None:
        whole = before + self._held
        pasted, end, rest = whole.partition(_PASTE_END)
        if not end:
            self._held, self._pasted = b"", whole
            return None
        self._held, self._pasted = rest, None
        return [_paste(pasted)]


def as_typed(keys: list[Key]) -> list[Key]:
    """Return the keys of one read, text that a terminal without marks pasted as one paste.

    An Enter in its middle is a line's end; one at its end is a key.
    """
    found: list[Key] = []
    for is_text, run in groupby(keys, lambda key: key.name in _TEXTUAL):
        some = list(run)
        found += _merged(some) if is_text else some
    return found


def _merged(run: list[Key]) -> list[Key]:
    letters = [key.text for key in run if key.name == TEXT]
    if len(letters) < _BURST or len(set(letters)) == 1:
        return run
    last = max(index for index, key in enumerate(run) if key.name == TEXT) + 1
    text = "".join(key.text or _TEXTUAL[key.name] for key in run[:last])
    return [Key(PASTE, text), *run[last:]]


_TEXTUAL = {TEXT: "", "enter": "\n", "tab": "\t"}


def _letter(char: str) -> Key:
    if char >= " " and char != "\x7f" and not "\x80" <= char < "\xa0":
        return Key(TEXT, char)
    return Key(_CONTROL.get(ord(char), "unknown"))


def _named(sequence: str) -> list[Key]:
    if sequence == "\x1bOM":
        return [Key("enter")]  # of a number pad
    if not _PLAIN.fullmatch(sequence):
        return []  # a mouse, or a terminal that answers a question
    if sequence.endswith("~"):
        name = _NUMBERED.get(sequence[2:-1].partition(";")[0])
    else:
        name = _FINAL.get(sequence[-1])
    return [Key(name)] if name else []


def _paste(pasted: bytes) -> Key:
    # Terminals send a line's end as Enter would.
    text = pasted.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return Key(PASTE, text)


@dataclass(frozen=True)
class Line:
    """What has been typed so far."""

    text: str = ""
    cursor: int = 0
    """In characters, from the beginning."""

    def press(self, key: Key) -> Line:
        """Return the line after a key; keys that are not for it change nothing."""
        before, after = self.text[: self.cursor], self.text[self.cursor :]
        match key.name:
            case "text" | "paste":
                return Line(before + key.text + after, len(before) + len(key.text))
            case "backspace":
                return Line(before[:-1] + after, max(self.cursor - 1, 0))
            case "ctrl-w":
                kept = before.rstrip()
                kept = kept[: max(kept.rfind(" "), kept.rfind("\n")) + 1]
                return Line(kept + after, len(kept))
            case "ctrl-u":
                return Line(after, 0)
            case "ctrl-k":
                return Line(before, self.cursor)
            case "delete":
                return Line(before + after[1:], self.cursor)
            case _:
                moved = {
                    "left": max(self.cursor - 1, 0), "home": 0,
                    "right": min(self.cursor + 1, len(self.text)), "end": len(self.text),
                }  # fmt: skip
                return replace(self, cursor=moved.get(key.name, self.cursor))
