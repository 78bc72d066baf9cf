"""``python -m lab.bench``: measure, show, and keep the figures."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markdown import Markdown

from lab.bench.report import PARTS, UNASKED, Report, markdown, measure
from lab.document import write_into

BLOCK = "figures"
"""What ``--write`` replaces in a document."""


def main() -> None:
    """Measure, print the table, write ``build/bench.json`` and, if asked, a document."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="counted rounds of short cases")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be repeated")
    parser.add_argument("--write", type=Path, help="document whose figures to replace")
    options = parser.parse_args()
    console = Console()

    def begun(part: str) -> None:
        console.print(f"{time.strftime('%H:%M:%S')}  {part}", style="dim")

    with tempfile.TemporaryDirectory(prefix="background-agents-bench-") as folder:
        chosen = options.only or UNASKED
        report = asyncio.run(measure(Path(folder), chosen, options.rounds, begun))
    _keep(report)
    table = markdown(report)
    console.print(Markdown(table))
    if options.write is not None:
        write_into(options.write, BLOCK, table)
    if report.failed:
        raise SystemExit("\n".join(f"{part}: {why}" for part, why in report.failed.items()))


def _keep(report: Report) -> None:
    build = Path("build")
    build.mkdir(exist_ok=True)
    (build / "bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))


if __name__ == "__main__":
    main()
