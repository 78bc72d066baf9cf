"""``python -m lab.bench``: measure, show, and keep the figures."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markdown import Markdown

from lab.bench.report import FIRST, NAMES, UNASKED, Report, markdown, measure, of_line
from lab.document import write_into
from lab.harness.home import lines_under_test
from lab.harness.line import Line

BLOCKS = {Line.ONE: "figures", Line.TWO: "figures of OpenCode 2"}
"""What ``--write`` replaces in a document."""


def main() -> None:
    """Measure, print the tables, write ``build/bench.json`` and, if asked, a document."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="counted rounds of short cases")
    parser.add_argument("--only", action="append", choices=NAMES, help="a part; may be repeated")
    parser.add_argument("--line", action="append", type=Line, choices=list(Line), help="else both")
    parser.add_argument("--write", type=Path, help="document whose figures to replace")
    options = parser.parse_args()
    lines = options.line or lines_under_test()
    chosen = {line: of_line(line, options.only or UNASKED) for line in lines}
    chosen = {line: parts for line, parts in chosen.items() if parts}
    if not chosen:
        raise SystemExit(f"{', '.join(options.only)}: measured with OpenCode {FIRST} only.")
    reports = {line: _measured(line, parts, options.rounds) for line, parts in chosen.items()}
    _keep(reports)
    for line, report in reports.items():
        if options.write is not None:
            write_into(options.write, BLOCKS[line], markdown(report))
    failed = [
        f"OpenCode {line}, {part}: {why}"
        for line, report in reports.items()
        for part, why in report.failed.items()
    ]
    if failed:
        raise SystemExit("\n".join(failed))


def _measured(line: Line, parts: Sequence[str], rounds: int) -> Report:
    """Measure a line, and show what was found."""
    console = Console()

    def begun(part: str) -> None:
        console.print(f"{time.strftime('%H:%M:%S')}  OpenCode {line}, {part}", style="dim")

    with tempfile.TemporaryDirectory(prefix="background-agents-bench-") as folder:
        report = asyncio.run(measure(Path(folder), parts, rounds, line, begun))
    console.print(Markdown(markdown(report)))
    return report


def _keep(reports: Mapping[Line, Report]) -> None:
    build = Path("build")
    build.mkdir(exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(reports), indent=2)
    (build / "bench.json").write_bytes(text)


if __name__ == "__main__":
    main()
