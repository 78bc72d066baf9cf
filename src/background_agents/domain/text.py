"""Text that agents wrote, made fit for where it goes.

Whatever comes from an agent is untrusted: before it stands in a notice it is one
line, bounded and escaped, so that no output can open or close a tag.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import accumulate

TITLE_CHARS = 70
"""About what a list line or a toast shows without wrapping."""

SUMMARY_CHARS = 300
"""One or two sentences."""

LINE_CHARS = 1_000
"""Far more than a title or a name has; bounds what a line of a terminal can become."""

NAME_CHARS, AGENT_CHARS = 80, 40
"""Of an id, an agent or a model where people look; of an agent where a model pays for each word."""

_MARKUP = re.compile(
    r"^(?:[#>*\-+]+|\d+[.)])\s+|`{1,3}|(?<!\w)[*_]{1,3}(?=\w)|(?<=[\w.!?])[*_]{1,3}(?!\w)"
)
"""Markdown that means nothing in a title; ``snake_case`` and ``2*3`` are none."""

_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff0-\uffff\ud800-\udfff\U000e0000-\U000e0fff]+"
)
"""Control characters, those that turn the direction of writing, and invisible ones; among these
are the tags of U+E0000, in which a model reads words that no human sees."""


def one_line(text: str, limit: int = LINE_CHARS) -> str:
    """Return ``text`` on one line without control characters, at most ``limit`` characters."""
    # Cut first: what follows costs time in proportion to its input, and an agent may write 100 MB.
    flat = " ".join(_UNSAFE.sub(" ", text[: limit * 4 + 400]).split())
    return flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"


def printable(text: str) -> str:
    """Return text of many lines without characters that a terminal obeys or that hide."""
    return _UNSAFE.sub(_kept, text)


def escaped_json(text: str) -> str:
    """Return JSON that says the same without such characters, by the escapes that JSON has."""
    return _UNSAFE.sub(_as_units, text)


def _as_units(found: re.Match[str]) -> str:
    # Line ends and tabs stand between values; inside of a string they are escaped already.
    units = (
        char if char in "\n\t" else json.dumps(char).strip('"')  # two where one is not enough
        for char in found[0]
    )
    return "".join(units)


def _kept(found: re.Match[str]) -> str:
    return "".join(char if char in "\n\t" else "\ufffd" for char in found[0])


def worker(agent: str, model: str) -> str:
    """Write who works: an agent, and on which model, where that is known."""
    on = f" on {one_line(model, TITLE_CHARS)}" if model else ""
    return f"{one_line(agent, TITLE_CHARS)}{on}"


def escape(text: str) -> str:
    """Return ``text`` so that it cannot open or close a tag or an attribute."""
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(char, entity)
    return text


def title_of(prompt: str) -> str:
    """Make a title from the first line of a prompt that says something."""
    for line in prompt[:4000].splitlines():
        plain = one_line(_MARKUP.sub("", line.strip()), TITLE_CHARS)
        if any(char.isalnum() for char in plain):
            return plain
    return "Untitled delegation"


def summary_of(result: str) -> str:
    """Make a summary from the first paragraph of a result that is not a heading."""
    for block in re.split(r"\n\s*\n", result.strip()[:8000]):
        lines = [line for line in block.splitlines() if not line.lstrip().startswith("#")]
        plain = one_line(" ".join(_MARKUP.sub("", line.strip()) for line in lines), SUMMARY_CHARS)
        if any(char.isalnum() for char in plain):
            return plain
    return one_line(result, SUMMARY_CHARS)


def span(duration: timedelta | float) -> str:
    """Write a duration (a number is seconds) as people say it: ``0.4s``, ``2m 14s``, ``1h 05m``."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"


def age(passed: timedelta) -> str:
    """Write an age in one unit: ``45s``, ``12m``, ``3h``, ``9d``."""
    seconds = max(int(passed.total_seconds()), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def counted(number: int, noun: str) -> str:
    """Write how many there are of something: ``1 delegation``, ``1,200 tool calls``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def used(tokens: int, cost_usd: float, tool_calls: int, unpriced_turns: int) -> str:
    """Write what a run has used: ``12,345 tokens, $0.0123, 3 tool calls``."""
    told = (f"{tokens:,} tokens", cost(cost_usd, unpriced_turns), counted(tool_calls, "tool call"))
    return ", ".join(told)


def compact(number: int) -> str:
    """Write a number in few letters: ``812``, ``12.3k``, ``4.0M``."""
    for letter, size in (("M", 1_000_000), ("k", 1_000)):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return str(number)


def money(dollars: float, unpriced_turns: int = 0) -> str:
    """Write a cost with as many digits as say something: ``$0.0042``, ``$12.30``.

    ``$0.0042+`` where the price of some turns is not known, ``unknown`` where no turn's is.
    """
    if unpriced_turns and not dollars:
        return "unknown"
    return (f"${dollars:.4f}" if dollars < 1 else f"${dollars:,.2f}") + "+" * (unpriced_turns > 0)


def cost(dollars: float, unpriced_turns: int) -> str:
    """Write a cost as ``money`` does, for where nothing else says that it is one."""
    told = money(dollars, unpriced_turns)
    return f"price {told}" if told == "unknown" else told


def fitting(lines: Sequence[str], room: int) -> list[str]:
    """Return the first lines that take at most ``room`` characters, an end of line each."""
    ends = accumulate(len(line) + 1 for line in lines)
    return [line for line, end in zip(lines, ends, strict=True) if end <= room]
