"""``python -m lab.faults``: the whole matrix, as a table."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from lab.document import write_into
from lab.faults import real, real_troubles
from lab.faults.matrix import Case, run_case, run_scenario
from lab.faults.scenarios import SCENARIOS
from lab.faults.table import Report, keep, markdown, report
from lab.faults.troubles import TROUBLES
from lab.harness.home import lines_under_test
from lab.harness.line import Line

BLOCK = "faults"
"""The block of a document that ``--write`` replaces."""


async def run(lines: Sequence[Line]) -> Report:
    """Run every case; those with a real OpenCode on each of ``lines``."""
    begun = time.monotonic()
    cases: list[Case] = []

    def done(name: str, found: Sequence[Case]) -> None:
        cases.extend(found)
        broken = [case for case in found if not case.verdict.is_kept]
        kills = sum(case.kills for case in found)
        print(f"{name}: {len(found)} cases, {kills} kills, {len(broken)} broken", flush=True)
        for case in broken:
            print(f"  {case}", flush=True)

    for scenario in SCENARIOS:
        done(scenario.name, await run_scenario(scenario))
    for scenario in TROUBLES:
        done(scenario.name, [await run_case(scenario, None)])
    for line in lines:
        done(real.title_of(line), await real.run_points(line))
        for case in (await real_troubles.run_troubles(line)).values():
            done(case.scenario, [case])
    return report(cases, time.monotonic() - begun)


def main() -> None:
    """Run, print the table, write ``build/faults.json`` and, if asked, a document."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument(
        "--repeat", type=int, default=1, help="runs of the whole, one after another"
    )
    parser.add_argument("--without-opencode", action="store_true", help="the fast part alone")
    parser.add_argument("--write", type=Path, help="document whose table to replace")
    parser.add_argument("--line", action="append", type=Line, choices=list(Line), help="else both")
    options = parser.parse_args()
    lines = () if options.without_opencode else (options.line or lines_under_test())
    broken = 0
    for _ in range(options.repeat):
        found = asyncio.run(run(lines))
        broken += len(found.broken)
        table = markdown(found)
        Console().print(Markdown(table))
    keep(found, Path("build"))
    if options.write is not None:
        write_into(options.write, BLOCK, table)
    if broken:
        raise SystemExit(f"The promise was broken in {broken} cases.")


if __name__ == "__main__":
    main()
