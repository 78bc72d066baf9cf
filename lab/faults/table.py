"""What the suite has found, as one table: a row for each failpoint and each fault."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from lab.faults.matrix import Case

REAL = "real OpenCode"
"""How cases with a real OpenCode are called; its line follows."""

COUNT = re.compile(r"#\d+$")


class Row(msgspec.Struct):
    """All cases of one failpoint or fault together."""

    fault: str
    cases: int = 0
    kills: int = 0
    lost: int = 0
    duplicated: int = 0
    zombies: int = 0
    seconds: float = 0.0
    """Of the slowest case, from the start of its first process to the end of its last."""


class Report(msgspec.Struct):
    """A run of the suite."""

    rows: list[Row]
    broken: list[str]
    """Each case in which the promise was not kept."""
    seconds: float

    @property
    def kills(self) -> int:
        return sum(row.kills for row in self.rows)

    @property
    def real_kills(self) -> int:
        return sum(row.kills for row in self.rows if row.fault.startswith(REAL))


def report(cases: Iterable[Case], seconds: float) -> Report:
    """Sum up cases by where they were hurt; a case with two kills counts for the second."""
    rows: dict[str, Row] = {}
    broken = []
    for case in cases:
        fault = _fault(case)
        row = rows.setdefault(fault, Row(fault))
        row.cases += 1
        row.kills += case.kills
        row.lost += len(case.verdict.lost)
        row.duplicated += len(case.verdict.duplicated)
        row.zombies += len(case.verdict.zombies)
        row.seconds = max(row.seconds, round(case.seconds, 1))
        if not case.verdict.is_kept:
            broken.append(str(case))
    return Report(sorted(rows.values(), key=lambda row: row.fault), broken, round(seconds, 1))


def markdown(found: Report) -> str:
    """Return the table."""
    head = ("failpoint or fault", "cases", "kills", "lost", "duplicated", "zombies", "most seconds")
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    for row in found.rows:
        lines.append(_line(msgspec.structs.astuple(row)))
    total = f"{found.kills} kills, {found.real_kills} of them with a real OpenCode"
    return "\n".join([*lines, "", f"{total}; {found.seconds:.0f} s in all."])


def keep(found: Report, folder: Path) -> None:
    """Write the report where CI picks it up."""
    folder.mkdir(exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(found), indent=2)
    (folder / "faults.json").write_bytes(text)


def _fault(case: Case) -> str:
    if not case.plan:
        return case.scenario
    if case.scenario.startswith(REAL):
        return f"{case.scenario}, killed"
    point = COUNT.sub("", case.plan[-1])
    return f"{point}, in a recovery" if len(case.plan) > 1 else point


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
