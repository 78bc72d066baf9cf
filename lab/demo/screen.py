"""How the timeline looks: lines that scroll, and below them what runs now.

Draws what it is given with rich, which also decides about colours (``NO_COLOR``, pipes).
Where nothing can be redrawn, the lines alone tell the story.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.status import Status
from rich.text import Text

from lab.demo.lanes import Lanes
from lab.demo.timeline import SUPERVISOR, Actor, Agent, Entry, Kind, Timeline, counted

TIME_COLUMN = 8

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

_ASCII = str.maketrans("│┊─┼╮╯●○•▼◀✓✗→←…·━" + FRAMES, "|:-+.'*o.v<+x><.-=" + "|/-\\|/-\\|/")
"""For terminals and pipes that cannot show more."""

_CONTROLS = {code: " " for code in (*range(32), *range(127, 160)) if code != ord("\n")}
"""What agents write is shown, never obeyed."""


class Screen:
    """Where the demo is watched."""

    def __init__(self, console: Console, expected: int) -> None:
        self.console = console
        self.lanes = Lanes(expected)
        self._timeline: Timeline | None = None
        self._live: Live | None = None

    # --- plain lines --------------------------------------------------------

    def print(self, *lines: Text | str) -> None:
        """Print lines that are no part of the timeline."""
        for line in lines:
            text = Text.from_markup(line) if isinstance(line, str) else line
            self.console.print(self._plain(text), highlight=False)

    def heading(self, title: str) -> None:
        """Print a line across the screen with a title in it."""
        width = min(self.console.width, 100)
        text = Text.assemble(("━━ ", "dim"), (title, "bold"), " ")
        text.append("━" * max(0, width - text.cell_len), "dim")
        self.print("", text, "")

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show that something is being waited for; gone when it is there."""
        if self.console.is_terminal and not self.console.options.ascii_only:
            with Status(text, console=self.console):
                yield
        else:
            yield

    def _plain(self, text: Text) -> Text:
        """Return a text that this terminal can show, and that cannot steer it."""
        text = text.copy()
        text.plain = text.plain.translate(_CONTROLS)
        if self.console.options.ascii_only:
            text.plain = text.plain.translate(_ASCII).encode("ascii", "replace").decode()
        return text

    # --- the timeline -------------------------------------------------------

    def show(self, entry: Entry, timeline: Timeline) -> None:
        """Print an entry, wrapped beside its gutter."""
        first, following = self.lanes.draw(entry)
        words = self._words(entry, timeline)
        room = max(20, self.console.width - TIME_COLUMN - self.lanes.width - 1)
        for number, line in enumerate(words.wrap(self.console, room)):
            gutter = following if number else first
            line.rstrip()
            stamp = f"{'' if number else f'{entry.at_s:.1f}s':>6}  "
            self.print(Text.assemble((stamp, "dim"), gutter, " ", line))

    def _words(self, entry: Entry, timeline: Timeline) -> Text:
        name = Text(entry.actor, f"bold {self.lanes.colour(entry.actor)}")
        agent = timeline.agents.get(entry.actor)
        match entry.kind:
            case Kind.DELEGATED if agent is not None:
                what = f"{agent.agent} on {agent.model}" if agent.model else agent.agent
                took = (f"{agent.call_ms:.0f} ms", "bold green")
                told = (f"  {entry.text}  ", "")
                return Text.assemble("delegate → ", name, "  ", took, told, (f"({what})", "dim"))
            case Kind.NOTICE:
                colour = "green" if entry.text.startswith("completed") else "red"
                return Text.assemble("notice ← ", name, "  ", (entry.text, colour))
            case Kind.ASKED | Kind.SAID:
                return Text.assemble(name, "  ", entry.text)
            case Kind.ENDED:
                return Text.assemble(name, "  ", (entry.text, "green"))
            case Kind.FAILED:
                return Text.assemble(name, "  ", (f"failed: {entry.text}", "red"))
            case _:
                return Text.assemble(name, "  ", (entry.text, "dim"))

    # --- what runs now ------------------------------------------------------

    @contextmanager
    def following(self, timeline: Timeline) -> Iterator[None]:
        """Keep a line for each actor at work at the bottom, where the terminal can."""
        self._timeline = timeline
        if not self.console.is_terminal or self.console.is_dumb_terminal:
            yield
            return
        live = Live(
            console=self.console, transient=True, auto_refresh=False, get_renderable=self._now
        )
        with live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def refresh(self) -> None:
        """Draw the bottom lines anew."""
        if self._live is not None:
            self._live.refresh()

    def _now(self) -> RenderableType:
        timeline = self._timeline
        if timeline is None or self._live is None:
            return ""
        now = time.monotonic() - timeline.start_s
        rows = [self._row(SUPERVISOR, timeline.supervisor, now)]
        rows += [self._row(agent.id, agent, now) for agent in timeline.running]
        return Group("", *rows)

    def _row(self, name: str, actor: Actor, now: float) -> Text:
        frame = FRAMES[int(now * 12) % len(FRAMES)] if actor.busy else "○"
        colour = self.lanes.colour(name)
        row = Text.assemble((f"{now - actor.since_s:5.1f}s  ", "dim"), (f"{frame} ", colour))
        row.append(f"{name:<{self._name_width}}  ", f"bold {colour}")
        row.append(f"{_doing(actor)}  ", "dim")
        if actor.busy:
            room = max(1, self.console.width - row.cell_len - 1)
            row.append(" ".join(actor.tail.split())[-room:])
        row.truncate(self.console.width - 1)
        row.no_wrap = True
        return self._plain(row)

    @property
    def _name_width(self) -> int:
        running = self._timeline.running if self._timeline else []
        return max(len(name) for name in (SUPERVISOR, *(agent.id for agent in running)))


def _doing(actor: Actor) -> str:
    if isinstance(actor, Agent):
        state = "" if actor.busy else ("ended, " if actor.ended else "starts, ")
        return f"{state}{counted(actor.tools, 'tool call')}, {actor.chars:,} chars"
    return "" if actor.busy else "rests; a notice wakes it"
