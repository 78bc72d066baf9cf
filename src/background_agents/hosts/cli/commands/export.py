"""``background-agents export``: delegations with their results, for other programs."""

from __future__ import annotations

import os
import sys
import tempfile
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from background_agents.client.owners import sheets
from background_agents.client.projects import Project
from background_agents.client.results import artifacts, result
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, StoreUnavailable
from background_agents.domain.query import Query
from background_agents.domain.text import printable
from background_agents.hosts.cli import output
from background_agents.hosts.cli.arguments import add_place
from background_agents.hosts.cli.query_arguments import (
    ToldProjects,
    add_all_projects,
    add_query,
    query_of,
)
from background_agents.hosts.cli.text.export import FORMATS, Format
from background_agents.views.json import ExportSheet, export_sheet, show_sheet

AT_ONCE = 500
"""Delegations whose notices are read together."""

Write = Callable[[str], object]


def add_arguments(parser: ArgumentParser) -> None:
    """Take a query, a format, and where to."""
    parser.formatter_class = RawDescriptionHelpFormatter
    add_query(parser)
    parser.add_argument(
        "--format", choices=list(FORMATS), default="jsonl",
        help="jsonl and json tell all, csv the facts without prompt and result (default: jsonl)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write to a file that only you may read"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE if it is there")
    add_all_projects(parser)
    add_place(parser)


def run(given: Namespace) -> int:
    """Write all that is asked for, newest first."""
    query, projects = query_of(given), ToldProjects(given)
    with _destination(given) as write:
        writer = FORMATS[given.format]()
        _write(writer, query, projects, write)
    return projects.code


def _write(writer: Format, query: Query, projects: ToldProjects, write: Write) -> None:
    write(writer.begin())

    def each(project: Project) -> None:
        for one in _sheets(project, query):
            write(writer.add(one))

    projects.each(each)
    write(writer.end())


def _sheets(project: Project, query: Query) -> Iterator[ExportSheet]:
    records, files = project.records, artifacts(project.folder)
    numbers = project.find(query).numbers
    for begin in range(0, len(numbers), AT_ONCE):
        found = list(records.delegations(numbers[begin : begin + AT_ONCE]))
        notices = records.notices([one.id for one in found])
        for one, known in zip(found, sheets(project.folder, found), strict=True):
            shown = show_sheet(
                one,
                known,
                artifact=files.path(one),
                history=records.history(one.id),
                notices=notices[one.id],
            )
            yield export_sheet(shown, _result(one, project.folder))


def _result(one: Delegation, folder: Path) -> str | None:
    """Return what it left; None where there is nothing, or it is gone."""
    if not one.is_terminal:
        return None
    try:
        return result(one, folder)
    except StoreUnavailable:
        return None


@contextmanager
def _destination(given: Namespace) -> Iterator[Write]:
    """Write to stdout; or to a file, which is there as a whole or not at all."""
    path: Path | None = given.output
    if path is None:
        yield _to_stdout
        return
    if not given.force and os.path.lexists(path):
        raise InvalidRequest(f"{path} is there already; name another file, or use --force.")
    try:
        descriptor, temporary = tempfile.mkstemp(".tmp", f".{path.name}.", path.parent)
    except OSError as error:
        raise InvalidRequest(
            f"{path} cannot be written ({error.strerror}); name another."
        ) from error
    try:
        with open(descriptor, "w", encoding="utf-8", errors="replace", newline="") as file:
            yield file.write
        os.replace(temporary, path)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written ({error.strerror}).") from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _to_stdout(text: str) -> None:
    if output.is_terminal():
        output.show(printable(text).removesuffix("\n"))
    else:
        sys.stdout.buffer.write(text.encode(errors="replace"))
