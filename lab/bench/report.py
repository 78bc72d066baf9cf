"""The parts of the benchmark by name, and the report that a run makes of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from background_agents import __version__
from lab.bench.busy import while_others_run
from lab.bench.calls import delegate_and_notice, inside
from lab.bench.commands import commands
from lab.bench.crowd import crowds
from lab.bench.figures import Findings, machine, tables
from lab.bench.lifecycle import lifecycle
from lab.bench.looks import while_many_run, with_many_stored
from lab.bench.process import calls_alone, starting, thousand_active
from lab.bench.recovery import recovery
from lab.bench.start import start
from lab.bench.tax import Tax, context_tax, table
from lab.harness.home import find_binary

TAX = "tax"

SLOW_SHARE = 5
"""Of what takes seconds a fifth of the rounds is counted."""


def _slow(rounds: int) -> int:
    return max(rounds // SLOW_SHARE, 1)


Part = Callable[[Path, int], Awaitable[Findings]]

PARTS: Mapping[str, Part | None] = {
    "calls": delegate_and_notice,
    "inside": inside,
    "busy": while_others_run,
    "crowd": lambda root, _: crowds(root),
    "start": lambda root, rounds: start(root, _slow(rounds)),
    "looks": while_many_run,
    "stored": with_many_stored,
    "lifecycle": lambda root, rounds: lifecycle(root, 2 * _slow(rounds)),
    "active": lambda root, _: thousand_active(root),
    "process": starting,
    "alone": calls_alone,
    "recovery": lambda root, rounds: recovery(root, _slow(rounds)),
    "commands": commands,
    TAX: None,
}
"""What can be measured by itself, in the order of the table; the tax has a table of its own."""


UNASKED = [name for name in PARTS if name != "commands"]
"""What is measured where no part is named; the command line over 100,000 takes minutes more."""


class Report(msgspec.Struct):
    """All findings of one run, and where they were taken."""

    machine: str
    versions: str
    findings: dict[str, Findings]
    tax: Tax | None = None
    failed: dict[str, str] = {}
    """Parts that could not be measured, and why."""


async def measure(
    root: Path, parts: Sequence[str], rounds: int, begun: Callable[[str], None]
) -> Report:
    """Measure parts one after the other; ``begun`` is told of each."""
    versions = f"OpenCode {find_binary().version}, background-agents {__version__}"
    report = Report(machine(), versions, {})
    for name in parts:
        begun(name)
        try:
            await _measure(report, name, root / name, rounds)
        except Exception as error:  # what the other parts found is worth keeping
            report.failed[name] = f"{type(error).__name__}: {error}"
    return report


async def _measure(report: Report, name: str, root: Path, rounds: int) -> None:
    part = PARTS[name]
    if part is None:
        report.tax = await context_tax(root)
    else:
        report.findings[name] = await part(root, rounds)


def markdown(report: Report) -> str:
    """Return the report as tables: figures, ratios, and the context tax."""
    found = sum(report.findings.values(), start=Findings())
    shown = [f"{report.machine}; {report.versions}.", tables(found)]
    if report.tax is not None:
        shown.append(table(report.tax))
    return "\n\n".join(part for part in shown if part)
