"""Samples, and what is said of them: medians, 95th percentiles, ratios within one run.

Knows no case; a figure is held against limits that whoever measured it names.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence

import msgspec

CLOCK_STEP = 0.5
"""Stands for a duration of 0 where a ratio needs a divisor: half a step of OpenCode's clock,
which counts whole milliseconds."""


class Figure(msgspec.Struct):
    """One measured case, by default in milliseconds."""

    case: str
    samples: list[float]
    unit: str = "ms"
    target: str = ""
    reached: bool | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def p95(self) -> float:
        return percentile(self.samples, 0.95)


class Ratio(msgspec.Struct):
    """How one case compares with another of the same run, pair by pair."""

    case: str
    samples: list[float]
    target: str = ""
    reached: bool | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        return percentile(self.samples, 0.25), percentile(self.samples, 0.75)


class Findings(msgspec.Struct):
    """What one part of the benchmark has found."""

    figures: list[Figure] = []
    ratios: list[Ratio] = []

    def __add__(self, more: Findings) -> Findings:
        return Findings(self.figures + more.figures, self.ratios + more.ratios)


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that at least ``share`` of all do not exceed."""
    ordered = sorted(samples)
    index = max(0, -(-len(ordered) * share // 1) - 1)
    return ordered[min(int(index), len(ordered) - 1)]


def judged(
    case: str,
    samples: Sequence[float],
    unit: str = "ms",
    *,
    most: float | None = None,
    p95_most: float | None = None,
    least: float | None = None,
) -> Figure:
    """Return a figure held against the limits that are to be reached."""
    figure = Figure(case, list(samples), unit)
    said, held = [], []
    if most is not None:
        said.append(f"median ≤ {most:,g} {unit}")
        held.append(figure.median <= most)
    if p95_most is not None:
        said.append(f"p95 ≤ {p95_most:,g} {unit}")
        held.append(figure.p95 <= p95_most)
    if least is not None:
        said.append(f"median ≥ {least:,g} {unit}")
        held.append(figure.median >= least)
    if said:
        figure.target, figure.reached = ", ".join(said), all(held)
    return figure


def compared(
    case: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    most: float | None = None,
    least: float | None = None,
) -> Ratio:
    """Return the ratios of samples that were taken in pairs, judged by their median."""
    pairs = zip(ours, theirs, strict=True)
    ratio = Ratio(case, [one / max(other, CLOCK_STEP) for one, other in pairs])
    if most is not None:
        ratio.target, ratio.reached = f"≤ {most:g}", ratio.median <= most
    if least is not None:
        ratio.target, ratio.reached = f"≥ {least:g}", ratio.median >= least
    return ratio


def machine() -> str:
    """Name this machine by what matters here."""
    cores = os.cpu_count()
    python = platform.python_version()
    return f"{platform.system()} {platform.machine()}, {cores} cores, Python {python}"


def tables(found: Findings) -> str:
    """Return the figures and the ratios as markdown."""
    parts = []
    if found.figures:
        parts.append("\n".join([*_FIGURES, *map(_figure, found.figures)]))
    if found.ratios:
        parts.append("\n".join([*_RATIOS, *map(_ratio, found.ratios)]))
    return "\n\n".join(parts)


_FIGURES = (
    "| case | n | median | p95 | unit | to reach | reached |",
    "| --- | ---: | ---: | ---: | --- | --- | --- |",
)

_RATIOS = (
    "| ratio, within one run | pairs | median | middle half | to reach | reached |",
    "| --- | ---: | ---: | ---: | --- | --- |",
)

_REACHED = {None: "", True: "yes", False: "**no**"}


def _figure(one: Figure) -> str:
    numbers = f"{shown(one.median)} | {shown(one.p95)} | {one.unit}"
    return (
        f"| {one.case} | {len(one.samples)} | {numbers} | {one.target} | {_REACHED[one.reached]} |"
    )


def _ratio(one: Ratio) -> str:
    low, high = one.quartiles
    spread = f"{one.median:.2f} | {low:.2f} to {high:.2f}"
    return (
        f"| {one.case} | {len(one.samples)} | {spread} | {one.target} | {_REACHED[one.reached]} |"
    )


def shown(value: float) -> str:
    """Write a number with as many digits as mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"
