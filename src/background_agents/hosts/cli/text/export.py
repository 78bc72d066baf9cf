"""The read model of an export: delegations, one after the other, in four formats.

Each format is written piece by piece, so that no export has to fit into memory. In CSV, what a
spreadsheet would take for a formula is marked as text: agents wrote it.
"""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime

import msgspec

from background_agents.domain.text import one_line
from background_agents.views.json import ExportSheet, Sheet, on

COLUMNS = tuple(name for name in Sheet.__struct_fields__ if name not in ("requests", "models"))
"""Of a CSV file: every fact that is one value."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Format(ABC):
    """Turns delegations into text."""

    def begin(self) -> str:
        """Return what stands before all."""
        return ""

    @abstractmethod
    def add(self, one: ExportSheet) -> str:
        """Return a delegation."""

    def end(self) -> str:
        """Return what stands behind all."""
        return ""


class JsonLines(Format):
    """An object on each line."""

    def add(self, one: ExportSheet) -> str:
        return msgspec.json.encode(one).decode() + "\n"


class Json(Format):
    """An array of objects, one on each line."""

    def __init__(self) -> None:
        self._between = "\n"

    def begin(self) -> str:
        return "["

    def add(self, one: ExportSheet) -> str:
        text = self._between + msgspec.json.encode(one).decode()
        self._between = ",\n"
        return text

    def end(self) -> str:
        return "\n]\n"


class Csv(Format):
    """A line of facts for each delegation, below their names."""

    def begin(self) -> str:
        return _csv(COLUMNS)

    def add(self, one: ExportSheet) -> str:
        return _csv(tuple(_cell(getattr(one, name)) for name in COLUMNS))


class Markdown(Format):
    """A chapter for each delegation: facts, prompt and result."""

    def add(self, one: ExportSheet) -> str:
        facts = {
            "id": one.id,
            "state": one.state,
            "agent": one.agent,
            "model": on(one) or None,
            "delegated": one.registered_at.isoformat(),
            "ended": one.ended_at.isoformat() if one.ended_at else None,
            "error": one.error,
            "cut": one.cut,
            "summary": one.summary,
        }
        listed = [f"- {name}: {one_line(value)}" for name, value in facts.items() if value]
        asked = [f"> {line}".rstrip() for line in one.prompt.splitlines()]
        result = "(none)" if one.result is None else one.result.strip()
        lines = [f"# {one_line(one.title)}", "", *listed, "", *asked, "", result, "", "---", "", ""]
        return "\n".join(lines)


FORMATS: Mapping[str, type[Format]] = {
    "jsonl": JsonLines,
    "json": Json,
    "csv": Csv,
    "markdown": Markdown,
}


def _csv(cells: tuple[object, ...]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
