"""What a soak has found: a row for each part, and what the long-lived service held."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from lab.faults.verdict import Verdict
from lab.soak.samples import Series, rows


class Part(msgspec.Struct):
    """One part of a soak."""

    name: str
    seconds: float
    delegations: int
    rate: float
    """Delegations that have ended and were told, per second."""
    kills: int
    lost: int = 0
    duplicated: int = 0
    zombies: int = 0
    notes: list[str] = []
    """What else is to be known."""
    broken: list[str] = []
    """Whatever is not as promised, each in a sentence."""

    def add(self, verdict: Verdict) -> None:
        """Count what a verdict found for this part."""
        self.lost += len(verdict.lost)
        self.duplicated += len(verdict.duplicated)
        self.zombies += len(verdict.zombies)
        self.broken += [*verdict.lost, *verdict.duplicated, *verdict.zombies]


class Report(msgspec.Struct):
    """A whole soak."""

    seed: int
    minutes: float
    parts: list[Part]
    held: dict[str, Series]
    """What services held, by the part in which they lived."""
    cores: int

    @property
    def broken(self) -> list[str]:
        return [one for part in self.parts for one in part.broken]


def markdown(found: Report) -> str:
    """Return the tables."""
    head = (
        "part",
        "minutes",
        "delegations",
        "per second",
        "kills",
        "lost",
        "duplicated",
        "zombies",
    )
    lines = _table(head, [_cells(part) for part in found.parts])
    for name, series in found.held.items():
        lines += ["", *_held(name, series)]
    total = sum(part.delegations for part in found.parts)
    kills = sum(part.kills for part in found.parts)
    said = f"{total:,} delegations and {kills} kills in {found.minutes:.1f} minutes"
    lines += ["", f"{said}, on {found.cores} cores, seed {found.seed}."]
    lines += [f"{part.name}: {note}" for part in found.parts for note in part.notes]
    return "\n".join(lines)


def keep(found: Report, folder: Path) -> None:
    """Write the report, with every sample, where it can be looked at."""
    folder.mkdir(exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(found), indent=2)
    (folder / "soak.json").write_bytes(text)


def _cells(part: Part) -> Sequence[object]:
    return (
        part.name,
        f"{part.seconds / 60:.1f}",
        f"{part.delegations:,}",
        f"{part.rate:.1f}",
        part.kills,
        part.lost,
        part.duplicated,
        part.zombies,
    )


def _held(name: str, series: Series) -> list[str]:
    head = (f"held: {name}", "first third", "last third", "at rest", "at rest, after", "allowed")
    return _table(head, [msgspec.structs.astuple(row) for row in rows(series)])


def _table(head: Sequence[str], body: Sequence[Sequence[object]]) -> list[str]:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(map(str, cells))} |" for cells in (head, rule, *body)]
