"""What a page of the documentation tells its reader to do, and says that they will see.

Knows how pages are written: a ``console`` block holds commands, each with its output; a ``python``
block is a program, to be saved under the name in the comment before it; a ``text`` block after the
line ``<!-- type -->`` is a message to OpenCode, after ``<!-- see -->`` what its screen shows then.
Ids and numbers on a page stand for whichever come; an id stands for the same one throughout, also
in commands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from background_agents.testing.scripts import READABLE_ID

_BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[\w.]+) -->\n)?```(?P<kind>console|python|text)\n(?P<body>.*?)^```$",
    re.M | re.S,
)

_VARIES = re.compile(r"\bses_\w+|\b[0-9a-f]{16,40}\b|\d+m \d\ds|\b\d+m\b|\d[\d,]*(?:\.\d+)?s?")
"""Names of sessions and projects, durations and numbers."""

ANYTHING = "…"
"""Whatever stands there; on a line of its own, any number of lines."""


@dataclass(frozen=True)
class Command:
    """What is typed at a prompt, and what comes of it."""

    text: str
    output: str


@dataclass(frozen=True)
class Saved:
    """A program that is written into a file."""

    name: str
    text: str


@dataclass(frozen=True)
class Typed:
    """What is typed into OpenCode."""

    text: str


@dataclass(frozen=True)
class Seen:
    """What OpenCode's screen shows, line by line."""

    lines: tuple[str, ...]


Step = Command | Saved | Typed | Seen


def steps(page: Path) -> Iterator[Step]:
    """Yield what a reader does and sees, in the page's order."""
    for block in _BLOCK.finditer(page.read_text("utf-8")):
        body = block["body"].rstrip("\n")
        match block["kind"], block["mark"]:
            case "console", None:
                yield from _commands(body)
            case "python", str(name):
                yield Saved(name, f"{body}\n")
            case "text", "type":
                yield Typed(" ".join(body.split()))
            case "text", "see":
                yield Seen(tuple(body.splitlines()))
            case "text", None:
                continue  # a picture, or the like
            case kind, mark:
                raise AssertionError(f"a {kind} block marked {mark}: {body}")


def _commands(body: str) -> Iterator[Command]:
    first, *rest = re.split(r"^\$ ", body, flags=re.M)
    assert not first, f"a console block begins with a prompt: {body}"
    for one in rest:
        typed, _, output = one.partition("\n")
        while typed.endswith("\\"):
            more, _, output = output.partition("\n")
            typed = f"{typed[:-1].rstrip()} {more.strip()}"
        yield Command(typed, output.strip("\n"))


@dataclass
class Names:
    """Which real id each id of the page stands for."""

    known: dict[str, str] = field(default_factory=dict)

    def real(self, text: str) -> str:
        """Return the text with the ids that were really given."""
        return READABLE_ID.sub(lambda found: self.known.get(found[0], found[0]), text)

    def fits(self, shown: str, seen: str) -> bool:
        """Return whether ``seen`` is what the page shows; learn the ids that are new."""
        return self._learn(r"\A{}\Z", shown, seen)

    def is_on(self, shown: str, screen: str) -> bool:
        """Return whether a line of the page is somewhere on a screen; learn its ids."""
        return self._learn("{}", shown, screen)

    def _learn(self, where: str, shown: str, seen: str) -> bool:
        new: list[str] = []
        pattern = where.replace("{}", self._pattern(shown, new))
        found = re.search(pattern, " ".join(seen.split()))
        if found is None:
            return False
        self.known |= {name: found[f"id{number}"] for number, name in enumerate(new)}
        return True

    def _pattern(self, shown: str, new: list[str]) -> str:
        """Return what the text stands for; ``new`` gets the ids that it is the first to name."""
        lines = [
            ".*" if line.strip() == ANYTHING else self._line(" ".join(line.split()), new)
            for line in shown.splitlines()
            if line.strip()
        ]
        return " ?".join(lines)

    def _line(self, line: str, new: list[str]) -> str:
        pattern, at = "", 0
        for found in READABLE_ID.finditer(line):
            pattern += _varying(line[at : found.start()]) + self._id(found[0], new)
            at = found.end()
        return pattern + _varying(line[at:])

    def _id(self, name: str, new: list[str]) -> str:
        if name in self.known:
            return re.escape(self.known[name])
        if name in new:
            return f"(?P=id{new.index(name)})"
        new.append(name)
        return f"(?P<id{len(new) - 1}>{READABLE_ID.pattern})"


def _varying(text: str) -> str:
    return ".*?".join(map(_with_numbers, text.split(ANYTHING)))


def _with_numbers(text: str) -> str:
    pattern, at = "", 0
    for found in _VARIES.finditer(text):
        pattern += re.escape(text[at : found.start()]) + f"(?:{_VARIES.pattern})"
        at = found.end()
    return pattern + re.escape(text[at:])
