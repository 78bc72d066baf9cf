"""Samples, and what is said of them: medians, 95th percentiles, ratios within one run."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence

import msgspec

from background_agents.testing.bench.tax import Tax, table


class Figure(msgspec.Struct):
    """One measured case. Times are milliseconds."""

    case: str
    samples_ms: list[float]
    target: str = ""
    reached: bool | None = None

    @property
    def median_ms(self) -> float:
        return statistics.median(self.samples_ms)

    @property
    def p95_ms(self) -> float:
        return percentile(self.samples_ms, 0.95)


class Report(msgspec.Struct):
    """All figures of one run, and where they were taken."""

    machine: str
    versions: str
    figures: list[Figure]
    tax: Tax


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that at least ``share`` of all do not exceed."""
    ordered = sorted(samples)
    index = max(0, -(-len(ordered) * share // 1) - 1)
    return ordered[min(int(index), len(ordered) - 1)]


def judged(
    case: str,
    samples_ms: Sequence[float],
    *,
    median_ms: float | None = None,
    p95_ms: float | None = None,
) -> Figure:
    """Return a figure held against the limits that are to be reached."""
    figure = Figure(case, list(samples_ms))
    limits = [("median", figure.median_ms, median_ms), ("p95", figure.p95_ms, p95_ms)]
    wanted = [(name, value, limit) for name, value, limit in limits if limit is not None]
    if wanted:
        figure.target = ", ".join(f"{name} ≤ {limit:g} ms" for name, _, limit in wanted)
        figure.reached = all(value <= limit for _, value, limit in wanted)
    return figure


def machine() -> str:
    """Name this machine by what matters here."""
    cores = os.cpu_count()
    python = platform.python_version()
    return f"{platform.system()} {platform.machine()}, {cores} cores, Python {python}"


def markdown(report: Report) -> str:
    """Return the figures as tables: times, and the context tax."""
    lines = [
        f"{report.machine}; {report.versions}.",
        "",
        "| case | n | median ms | p95 ms | to reach | reached |",
        "| --- | ---: | ---: | ---: | --- | --- |",
    ]
    said = {None: "", True: "yes", False: "**no**"}
    for one in report.figures:
        lines.append(
            f"| {one.case} | {len(one.samples_ms)} | {one.median_ms:.1f} | {one.p95_ms:.1f} "
            f"| {one.target} | {said[one.reached]} |"
        )
    return "\n".join([*lines, "", table(report.tax)])
