"""``python -m lab.soak``: the soak, as a short table."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from lab.document import write_into
from lab.harness.home import lines_under_test
from lab.harness.line import Line
from lab.soak import real, scripted
from lab.soak.report import Part, Report, keep, markdown
from lab.soak.samples import Series

BLOCK = "soak"
"""The block of a document that ``--write`` replaces."""

LONG, SHORT, REAL = 0.5, 0.25, 0.25
"""The parts' shares of the time. A leak needs delegations to show; a real OpenCode makes a
twentieth of the scripted one's, and its lines share its time."""


async def run(minutes: float, seed: int, lines: Sequence[Line]) -> Report:
    """Run every part, one after the other; the last with a real OpenCode of each of ``lines``."""
    begun, seconds = time.monotonic(), minutes * 60
    parts: list[Part] = []
    held: dict[str, Series] = {}

    def done(part: Part, series: Series | None = None) -> None:
        parts.append(part)
        if series is not None:
            held[part.name] = series
        told = f"{part.delegations:,} delegations, {part.rate:.1f}/s, {part.kills} kills"
        print(f"{part.name}: {told}, {len(part.broken)} broken", flush=True)

    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        done(*await scripted.long_life(Path(folder), seconds * LONG, seed))
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        done(await scripted.many_lives(Path(folder), seconds * SHORT, seed))
    for line in lines:
        done(*await real.work(seconds * REAL / len(lines), seed, line))
    spent = (time.monotonic() - begun) / 60
    return Report(seed, round(spent, 2), parts, held, os.cpu_count() or 1)


def main() -> None:
    """Run, print the tables, write ``build/soak.json`` and, if asked, a document."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, help="of an earlier run, to play the same again")
    parser.add_argument("--without-opencode", action="store_true", help="the scripted parts alone")
    parser.add_argument("--write", type=Path, help="document whose block to replace")
    parser.add_argument("--line", action="append", type=Line, choices=list(Line), help="else both")
    options = parser.parse_args()
    if not sys.platform.startswith("linux"):
        raise SystemExit(
            "The soak measures processes by /proc, which only Linux has; run it there."
        )
    seed = random.randrange(10**6) if options.seed is None else options.seed
    print(f"{options.minutes:g} minutes, seed {seed}", flush=True)
    lines = () if options.without_opencode else (options.line or lines_under_test())
    found = asyncio.run(run(options.minutes, seed, lines))
    keep(found, Path("build"))
    tables = markdown(found)
    Console().print(Markdown(tables))
    if options.write is not None:
        write_into(options.write, BLOCK, tables)
    if found.broken:
        raise SystemExit("\n".join(["This was broken:", *found.broken]))


if __name__ == "__main__":
    main()
