"""The parts of the benchmark by name, and the report that a run makes of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from background_agents import __version__
from lab.bench.busy import while_others_run
from lab.bench.calls import delegate_and_notice, inside
from lab.bench.changes import changes
from lab.bench.commands import commands
from lab.bench.crowd import crowds
from lab.bench.figures import Findings, machine, tables
from lab.bench.lifecycle import lifecycle
from lab.bench.looks import while_many_run, with_many_stored
from lab.bench.panel import panel
from lab.bench.process import calls_alone, starting, thousand_active
from lab.bench.recovery import recovery
from lab.bench.start import start
from lab.bench.tax import Tax, context_tax, table
from lab.bench.tries import first_answers, trees
from lab.harness.home import find_binary
from lab.harness.line import Line

TAX = "tax"

SLOW_SHARE = 5
"""Of what takes seconds a fifth of the rounds is counted."""


def _slow(rounds: int) -> int:
    return max(rounds // SLOW_SHARE, 1)


Part = Callable[[Path, int, Line], Awaitable[Findings]]

Ours = Callable[[Path, int], Awaitable[Findings]]

PARTS: Mapping[str, Part] = {
    "calls": delegate_and_notice,
    "inside": inside,
    "busy": while_others_run,
    "changes": changes,
    "crowd": lambda root, _, line: crowds(root, line),
    "start": lambda root, rounds, line: start(root, _slow(rounds), line),
    "tries": lambda root, rounds, line: first_answers(root, _slow(rounds), line),
}
"""What each line of OpenCode is measured with, in the order of the table."""

OURS: Mapping[str, Ours] = {
    "looks": while_many_run,
    "stored": with_many_stored,
    "lifecycle": lambda root, rounds: lifecycle(root, 2 * _slow(rounds)),
    "active": lambda root, _: thousand_active(root),
    "process": starting,
    "alone": calls_alone,
    "recovery": lambda root, rounds: recovery(root, _slow(rounds)),
    "trees": lambda root, rounds: trees(root, _slow(rounds)),
    "panel": lambda root, rounds: panel(root, max(_slow(rounds) // 2, 1)),
    "commands": commands,
}
"""What the service alone decides, or nearly so: it is measured once, with ``FIRST``."""

FIRST = Line.ONE

NAMES = (*PARTS, *OURS, TAX)
"""What can be measured by itself; the tax has a table of its own."""

UNASKED = [name for name in NAMES if name != "commands"]
"""What is measured where no part is named; the command line over 100,000 takes minutes more."""


def of_line(line: Line, parts: Sequence[str]) -> list[str]:
    """Return those of ``parts`` that are measured with a line."""
    return [part for part in parts if line is FIRST or part not in OURS]


class Report(msgspec.Struct):
    """All findings of one run, and where they were taken."""

    machine: str
    versions: str
    findings: dict[str, Findings]
    tax: Tax | None = None
    failed: dict[str, str] = {}
    """Parts that could not be measured, and why."""


async def measure(
    root: Path, parts: Sequence[str], rounds: int, line: Line, begun: Callable[[str], None]
) -> Report:
    """Measure parts one after the other with a line; ``begun`` is told of each."""
    versions = f"OpenCode {find_binary(line).version}, background-agents {__version__}"
    report = Report(machine(), versions, {})
    for name in parts:
        begun(name)
        try:
            await _measure(report, name, root / name, rounds, line)
        except Exception as error:  # what the other parts found is worth keeping
            report.failed[name] = f"{type(error).__name__}: {error}"
    return report


async def _measure(report: Report, name: str, root: Path, rounds: int, line: Line) -> None:
    if name == TAX:
        report.tax = await context_tax(root, line)
    elif name in PARTS:
        report.findings[name] = await PARTS[name](root, rounds, line)
    else:
        report.findings[name] = await OURS[name](root, rounds)


def markdown(report: Report) -> str:
    """Return the report as tables: figures, ratios, and the context tax."""
    found = sum(report.findings.values(), start=Findings())
    shown = [f"{report.machine}; {report.versions}.", tables(found)]
    if report.tax is not None:
        shown.append(table(report.tax))
    return "\n\n".join(part for part in shown if part)
