"""Settings as text: what each means, how a value is written, and an example file with all of them.

Made from ``Settings`` and its kinds, so that it cannot differ from what is read.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, fields

from background_agents.config.kinds import FILE_ONLY, KINDS
from background_agents.config.settings import AnswerRule, Settings
from background_agents.config.sources import SECTION, defaults, variable

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def meanings() -> Mapping[str, str]:
    """Return what stands below each field of ``Settings``, on one line."""
    (settings,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(settings, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in zip(settings.body, settings.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    found[field.target.id] = " ".join(text.split()).replace("``", "`")
    return found


def toml(value: object) -> str:
    """Return a value of a setting as it is written in the file."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False)
        case AnswerRule():
            given = asdict(value)
            usual = {one.name: one.default for one in fields(AnswerRule)}
            return toml({key: text for key, text in given.items() if text != usual[key]})
        case Mapping():
            inside = ", ".join(f"{_key(key)} = {toml(one)}" for key, one in value.items())
            return f"{{ {inside} }}" if inside else "{}"
        case tuple():
            return f"[{', '.join(map(toml, value))}]"
        case _:
            return str(value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def example() -> str:
    """Return a configuration file in which every setting stands, and none is set."""
    about, usual = meanings(), defaults()
    lines = [
        "# The settings of background-agents. Take away the # before a name to set it.",
        "# What the environment says wins over this file; `background-agents config` shows both.",
        "",
        f"[{SECTION}]",
    ]
    for name, kind in KINDS.items():
        where = "this file only" if name in FILE_ONLY else variable(name)
        lines += ["", f"# {about[name]}", f"# Allowed: {kind.allowed}.", f"# Set by: {where}."]
        value = usual[name] if kind.example is None else kind.example
        lines.append(f"# {name} = {toml(value)}")
    return "\n".join(lines) + "\n"
