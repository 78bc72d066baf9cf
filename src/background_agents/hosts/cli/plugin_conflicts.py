"""Finds the delegation plugins that OpenCode would load: ours, and any other.

Two plugins with a tool of the same name would shadow each other, and a model would see
one's tools and the other's notices. Text is searched, nothing is run: what is in the way
is named, with the file or the line to remove.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from background_agents.domain.errors import InvalidRequest

OURS = "// Written by `background-agents install"
"""How the file begins that ``install`` writes."""

_TOOLS = re.compile(
    r"""\bdelegation_read\b                        # a tool that only such plugins have
      | \bdelegate["']?\s*:\s*(?:tool\s*\(|\{)     # a tool called delegate, defined here
      | \b(?:from|import)\s*\(?\s*["'](?:          # the package itself, imported
            (?:[^"']*/node_modules/)?(?:@[^"'/]+/)?[^"'/.]*background-agents
          | [^"']*/[^"'/]*background-agents[^"'/]*["'])
    """,
    re.VERBOSE,
)

_SHADOW = "and two would shadow each other's tools"

_PACKAGE = re.compile(r"background[-_]agents", re.IGNORECASE)

_STRING_OR_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_STRING_OR_LAST_COMMA = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])')


class Kind(StrEnum):
    """What was found."""

    OURS = "ours"
    """A file that ``install`` wrote."""
    RIVAL = "rival"
    """A file with another delegation plugin."""
    ENTRY = "entry"
    """An entry of a "plugin" list that is another delegation plugin."""
    UNREADABLE = "unreadable"
    """A file of which nobody can say."""


class Found(NamedTuple):
    """A file that OpenCode reads, and why it is in the way of one more plugin."""

    kind: Kind
    file: Path
    why: str


def is_ours(text: str) -> bool:
    """Return whether ``text`` is a file that ``install`` wrote."""
    return text.startswith(OURS)


def find(folders: Iterable[Path], configs: Iterable[Path]) -> list[Found]:
    """Return every delegation plugin that OpenCode would load, and what cannot be read, once each.

    ``folders`` are the configuration directories, ``configs`` further configuration files.
    """
    looks = [(file, _in_file) for folder in folders for file in _plugins(folder)]
    looks += [(file, _in_config) for file in config_files(folders, configs)]
    found = (one for file, look in looks for one in _guarded(file, look))
    return list({(one.file.resolve(), one.why): one for one in found}.values())


def config_files(folders: Iterable[Path], configs: Iterable[Path]) -> list[Path]:
    """Return the configuration files in ``folders``, and those of ``configs`` that there are."""
    of_folders = [file for folder in folders for file in _configs(folder)]
    return list(dict.fromkeys([*of_folders, *_there(configs)]))


def _there(files: Iterable[Path]) -> list[Path]:
    return [file for file in files if file.is_file()]


def _guarded(file: Path, look: Callable[[Path], Iterator[Found]]) -> Iterator[Found]:
    try:
        yield from look(file)
    except InvalidRequest as error:
        yield Found(Kind.UNREADABLE, file, str(error))


def read_text(file: Path) -> str:
    """Return what a file says. Raises ``InvalidRequest`` when it cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InvalidRequest(
            f"{file} cannot be read ({error.strerror}); mend that first."
        ) from error


def _plugins(folder: Path) -> Iterator[Path]:
    for name in ("plugin", "plugins"):
        yield from sorted(_there((folder / name).glob("*.[jt]s")))


def _configs(folder: Path) -> Iterator[Path]:
    # A project's configuration may also stand beside its .opencode.
    places = [folder, folder.parent] if folder.name == ".opencode" else [folder]
    for place in places:
        more = ["config.json"] if place.name == "opencode" else []
        yield from _there(place / name for name in ("opencode.json", "opencode.jsonc", *more))


def _in_file(file: Path) -> Iterator[Found]:
    text = read_text(file)
    if is_ours(text):
        why = (
            f"OpenCode already loads background-agents from {file}; remove that file first, "
            "or leave it and install nothing."
        )
        yield Found(Kind.OURS, file, why)
    elif _TOOLS.search(text):
        why = f"{file} is another delegation plugin, {_SHADOW}; remove that file first."
        yield Found(Kind.RIVAL, file, why)


def _in_config(file: Path) -> Iterator[Found]:
    text = read_text(file)
    for name in _plugin_names(file):
        if _delegates(name, file.parent):
            quoted = json.dumps(name, ensure_ascii=False)
            line = next((n for n, line in enumerate(text.splitlines(), 1) if quoted in line), 1)
            where = f'{quoted} in the "plugin" list of {file} (line {line})'
            why = f"{where} is another delegation plugin, {_SHADOW}; remove that entry first."
            yield Found(Kind.ENTRY, file, why)


def _delegates(entry: str, folder: Path) -> bool:
    """Return whether an entry of a "plugin" list is a delegation plugin.

    A file says so by what is in it, whatever its folder is called; a package by its name.
    """
    path = Path(unquote(urlsplit(entry).path)) if entry.startswith("file:") else folder / entry
    if path.is_file():
        return _TOOLS.search(read_text(path)) is not None
    return _PACKAGE.search(entry) is not None


def read_config(file: Path) -> dict[str, object]:
    """Return what a configuration file of OpenCode says. Raises ``InvalidRequest``."""
    try:
        config = json.loads(_plain_json(read_text(file)) or "{}")
    except ValueError as error:
        raise InvalidRequest(f"{file} is not valid JSON ({error}); mend that first.") from error
    return config if isinstance(config, dict) else {}


def _plugin_names(file: Path) -> list[str]:
    entries = read_config(file).get("plugin")
    if not isinstance(entries, list):
        return []
    # An entry is a name, or a list of a name and its options.
    names = [entry[0] if isinstance(entry, list) and entry else entry for entry in entries]
    return [name for name in names if isinstance(name, str)]


def _plain_json(text: str) -> str:
    """Return JSON with comments and trailing commas, which OpenCode takes, without them."""
    bare = _STRING_OR_COMMENT.sub(lambda match: match[1] or " ", text)
    return _STRING_OR_LAST_COMMA.sub(lambda match: match[1] or "", bare).strip()
