"""The page about JSON answers, and a JSON Schema for each: made of the types that are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from background_agents.hosts.cli.commands.config import ConfigSheet
from background_agents.hosts.cli.diagnosis.findings import Report
from background_agents.hosts.cli.registry import COMMANDS, load
from background_agents.views.json import (
    ActiveSheet,
    ExportSheet,
    HookSheet,
    ListSheet,
    PeekSheet,
    PruneSheet,
    ReadSheet,
    Sheet,
    ShowSheet,
    StatsSheet,
)
from background_agents.views.json_changes import DiffSheet, UndoSheet
from lab.reference import markdown as md

Schema = Mapping[str, object]

ANSWERS: dict[str, object] = {
    "status": list[ActiveSheet],
    "list": ListSheet,
    "show": ShowSheet,
    "read": ReadSheet,
    "peek": PeekSheet,
    "diff": DiffSheet,
    "undo": UndoSheet,
    "redo": UndoSheet,
    "wait": list[Sheet],
    "delegate": Sheet,
    "retry": Sheet,
    "stats": StatsSheet,
    "export": ExportSheet,
    "prune": PruneSheet,
    "doctor": Report,
    "config": ConfigSheet,
}
"""What each command writes that takes ``--json``; ``export`` one of these for each delegation."""

TOLD: dict[str, object] = {"notify_command": HookSheet}
"""What a program is told that a setting names, on its stdin."""

OPTIONS = {"export": "--format jsonl"}
"""How a command is told to write JSON, where it is not ``--json``."""

_PLACE = "#/$defs/{name}"


def with_json() -> Sequence[str]:
    """Return the commands that take ``--json``."""
    return [name for name in COMMANDS if _takes_json(name)]


def _takes_json(name: str) -> bool:
    return any("--json" in one.option_strings for one in load(name, "bga").parser._actions)


def schema_files() -> Mapping[str, str]:
    """Return the JSON Schema of each command's answer, by file name."""
    return {
        f"schemas/{name}.json": _indented(msgspec.json.schema(answer, schema_hook=_anything))
        for name, answer in (ANSWERS | TOLD).items()
    }


def page() -> str:
    """Return the page."""
    _, kinds = _components()
    commands = [
        [
            md.literal(name if name in TOLD else f"{name} {OPTIONS.get(name, '--json')}"),
            _written(answer),
            f"[{name}.json](schemas/{name}.json)",
        ]
        for name, answer in (ANSWERS | TOLD).items()
    ]
    return md.page(
        "JSON",
        _HEAD,
        md.table(["command", "writes", "JSON Schema"], commands),
        *(_about(name, kinds[name]) for name in _in_order(kinds)),
    )


_HEAD = """\
With `--json` a command writes one JSON value to standard output. Names and meanings are a contract
with scripts: a field may be added, none is renamed or removed without a new major version. What the
setting `notify_command` names gets such a value on its standard input, on one line.

A name that ends in `_at` is a time, as ISO 8601 in UTC; one in `_s` a duration in seconds; one in
`_usd` US dollars. What agents wrote stands there as they wrote it: a program that prints it to a
terminal has to make it fit first.
"""


def _indented(schema: object) -> str:
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def _components(*answers: object) -> tuple[Sequence[Schema], Mapping[str, Schema]]:
    """Return the schemas of some answers, or of all, and of the types that they are made of."""
    return msgspec.json.schema_components(
        answers or tuple((ANSWERS | TOLD).values()), schema_hook=_anything, ref_template=_PLACE
    )


def _anything(kind: type) -> dict[str, object]:
    """Return the schema of a member that may be anything."""
    if kind is object:
        return {"type": ["array", "boolean", "null", "number", "object", "string"]}
    raise NotImplementedError


def _written(answer: object) -> str:
    (schema,), _ = _components(answer)
    return _type(schema)


def _in_order(kinds: Mapping[str, Schema]) -> Sequence[str]:
    """Return the names of types as a reader meets them: outer ones first."""
    tops, _ = _components()
    found: dict[str, None] = {}
    waiting = [name for top in tops for name in _named(top)]
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = None
            waiting += _named(kinds[name])
    return list(found)


def _named(schema: object) -> Iterator[str]:
    """Yield the names of the types that a schema refers to."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for value in schema.values():
            yield from _named(value)
    if isinstance(schema, list):
        for value in schema:
            yield from _named(value)


def _about(name: str, schema: Schema) -> str:
    told = md.paragraphs(str(schema.get("description", "")))
    if "enum" in schema:
        values = schema["enum"]
        assert isinstance(values, list)
        return "\n\n".join([f"## {name}", told, " | ".join(map(md.literal, values))])
    properties = schema["properties"]
    assert isinstance(properties, dict)
    rows = [
        [md.literal(field), _type(about), _description(about)]
        for field, about in properties.items()
    ]
    return "\n\n".join([f"## {name}", told, md.table(["field", "type", "meaning"], rows)])


def _description(schema: Schema) -> str:
    return str(schema.get("description", ""))


def _type(schema: Schema) -> str:
    """Return the type in words, with links to those that have a section."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        kinds = schema["anyOf"]
        assert isinstance(kinds, list)
        return " or ".join(map(_type, kinds))
    if schema.get("type") == "array":
        items = schema.get("items")
        return f"list of {_type(items)}" if isinstance(items, dict) else "list"
    kind = schema.get("type")
    return kind if isinstance(kind, str) else "any"
