"""``python -m background_agents.testing.bench``: measure, show, and keep the figures."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markdown import Markdown

from background_agents import __version__
from background_agents.testing.bench import cases
from background_agents.testing.bench.figures import Report, machine, markdown
from background_agents.testing.bench.tax import context_tax
from background_agents.testing.opencode_home import find_binary

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
"""What stands between these in a document is replaced by ``--write``."""


async def measure(rounds: int, starts: int) -> Report:
    """Run every case, one after the other, on an otherwise idle machine."""
    with tempfile.TemporaryDirectory(prefix="background-agents-bench-") as folder:
        root = Path(folder)
        figures = await cases.delegate_and_notice(root / "calls", rounds)
        figures += await cases.start(root / "start", starts)
        figures += await cases.listing(root / "list", rounds)
        figures += await cases.looking(root / "looks", rounds)
        tax = await context_tax(root / "tax")
    versions = f"OpenCode {find_binary().version}, background-agents {__version__}"
    return Report(machine(), versions, figures, tax)


def main() -> None:
    """Measure, print the table, write ``build/bench.json`` and, if asked, a document."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="counted rounds of each case")
    parser.add_argument("--starts", type=int, default=8, help="counted starts of OpenCode")
    parser.add_argument("--write", type=Path, help="document whose figures to replace")
    options = parser.parse_args()
    report = asyncio.run(measure(options.rounds, options.starts))
    build = Path("build")
    build.mkdir(exist_ok=True)
    (build / "bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    table = markdown(report)
    Console().print(Markdown(table))
    if options.write is not None:
        _write_into(options.write, table)


def _write_into(document: Path, table: str) -> None:
    before, _, rest = document.read_text("utf-8").partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{document} has no lines {BEGIN} and {END} to write between.")
    document.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
