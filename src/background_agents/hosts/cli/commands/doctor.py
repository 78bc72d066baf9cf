"""``background-agents doctor``: what does not work, why, and the one command that mends it.

Changes nothing, anywhere. Exit code 1 when there is a problem; warnings alone are 0.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from textwrap import wrap

from background_agents.domain.text import printable
from background_agents.hosts.cli.arguments import add_place, place_of
from background_agents.hosts.cli.colours import Colour, painted
from background_agents.hosts.cli.diagnosis.examination import examine
from background_agents.hosts.cli.diagnosis.findings import Finding, Mark, Report
from background_agents.hosts.cli.diagnosis.scene import Scene
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.output import add_json, sentence_width, write_json

_INDENT = " " * 11

_COLOURS = {
    Mark.OK: Colour.GOOD,
    Mark.WARNING: Colour.WARNING,
    Mark.PROBLEM: Colour.TROUBLE,
}


def add_arguments(parser: ArgumentParser) -> None:
    """Take which project, and for whom to write."""
    add_place(parser)
    add_json(parser)


def run(given: Namespace) -> int:
    """Examine everything and say what was found."""
    report = examine(Scene(place_of(given, keep=False), os.environ))
    if given.json:
        write_json(report)
    else:
        print("\n".join(_lines(report)))
    return Exit.DONE if report.well else Exit.NOT_WELL


def _lines(report: Report) -> Iterator[str]:
    for section in report.sections:
        if section.findings:
            yield painted(section.title, Colour.STRONG)
        for finding in section.findings:
            yield from _told(finding)
    yield ""
    yield _summary(report)


def _told(finding: Finding) -> Iterator[str]:
    first, *rest = wrap(
        printable(finding.says),
        max(sentence_width() - len(_INDENT), 20),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
    yield f"  {painted(f'{finding.mark:<7}', _COLOURS[finding.mark])}  {first}"
    yield from (f"{_INDENT}{line}" for line in rest)
    yield from (f"{_INDENT}- {printable(one)}" for one in finding.details)
    if finding.mend:
        # On one line however long it is, so that it can be copied.
        yield f"{_INDENT}$ {painted(printable(finding.mend), Colour.STRONG)}"


def _summary(report: Report) -> str:
    marks = [finding.mark for section in report.sections for finding in section.findings]
    problems, warnings = marks.count(Mark.PROBLEM), marks.count(Mark.WARNING)
    if not problems and not warnings:
        return f"All is well: {len(marks)} checks."
    counted = [(problems, "problem"), (warnings, "warning")]
    found = [f"{count} {word}{'s' * (count > 1)}" for count, word in counted if count]
    return f"{' and '.join(found)}; what stands behind a $ mends it."
