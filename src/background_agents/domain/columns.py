"""Text by the columns of a terminal: a Chinese character takes two, a combining one none."""

from __future__ import annotations

import unicodedata


def columns(text: str) -> int:
    """Return how many columns a terminal needs for a text."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, width: int, sign: str = "…") -> str:
    """Return as much of a text as fits, with a ``sign`` of one column where some is left out."""
    if columns(text) <= width:
        return text
    room, kept = width - 1, ""
    for char in text:
        room -= _columns(char)
        if room < 0:
            break
        kept += char
    return kept.rstrip() + sign if width > 0 else ""


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
