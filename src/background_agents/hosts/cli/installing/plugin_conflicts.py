"""Finds the delegation plugins that OpenCode would load: ours, and any other.

Two plugins with a tool of the same name would shadow each other, and a model would see
one's tools and the other's notices; of two of ours OpenCode 2 loads neither, nor any other plugin.
Both lines of OpenCode are looked at, whichever is installed, so that an upgrade finds nothing new
in its way. Text is searched, nothing is run: what is in the way is named, with the file or the line
to remove.
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
from background_agents.hosts.cli.installing import jsonc

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

_FOLDERS = ("plugin", "plugins")
"""Where both lines look for files; OpenCode 1 calls a list of others by the first, 2 by either."""

_STEMS = ("server", "index")

_SHADOW = "and two would shadow each other's tools"

_PACKAGE = re.compile(r"background[-_]agents", re.IGNORECASE)


class Kind(StrEnum):
    """What was found."""

    OURS = "ours"
    """A file that ``install`` wrote."""
    RIVAL = "rival"
    """A file with another delegation plugin."""
    ENTRY = "entry"
    """An entry of a list of plugins that is another delegation plugin."""
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
    for name in _FOLDERS:
        yield from sorted(_there((folder / name).glob("*.[jt]s")))
        # OpenCode 2 takes a folder as a plugin, too.
        for package in sorted((folder / name).glob("*/")):
            yield from _entry_points(package)


def _entry_points(package: Path) -> list[Path]:
    """Return what OpenCode would load of a folder that is a plugin: its first file by these names.

    A ``package.json`` may name another.
    """
    named: list[Path] = []
    try:
        main = read_config(package / "package.json").get("main")
        named = [package / main] if isinstance(main, str) else []
    except InvalidRequest:
        pass  # without one, or one that is no JSON, the names below count
    usual = (package / f"{stem}.{suffix}" for stem in _STEMS for suffix in ("js", "ts", "mjs"))
    return _there([*named, *usual])[:1]


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
    for key, name in _plugin_names(file):
        named = _file_of(name, file.parent)
        if named is not None and is_ours(read_text(named)):
            yield from _in_file(named)
        elif _delegates(name, named):
            quoted = json.dumps(name, ensure_ascii=False)
            line = next((n for n, line in enumerate(text.splitlines(), 1) if quoted in line), 1)
            where = f'{quoted} in the "{key}" list of {file} (line {line})'
            why = f"{where} is another delegation plugin, {_SHADOW}; remove that entry first."
            yield Found(Kind.ENTRY, file, why)


def _file_of(entry: str, folder: Path) -> Path | None:
    """Return the file that an entry of a list of plugins leads to; None if it is a package."""
    path = Path(unquote(urlsplit(entry).path)) if entry.startswith("file:") else folder / entry
    files = _entry_points(path) if path.is_dir() else _there([path])
    return files[0] if files else None


def _delegates(entry: str, file: Path | None) -> bool:
    """Return whether an entry of a list of plugins is a delegation plugin.

    A file says so by what is in it, whatever its folder is called; a package by its name.
    """
    if file is not None:
        return _TOOLS.search(read_text(file)) is not None
    return _PACKAGE.search(entry) is not None


def read_config(file: Path) -> dict[str, object]:
    """Return what a configuration file of OpenCode says. Raises ``InvalidRequest``."""
    try:
        config = jsonc.parse(read_text(file))
    except ValueError as error:
        raise InvalidRequest(f"{file} is not valid JSON ({error}); mend that first.") from error
    return config if isinstance(config, dict) else {}


def _plugin_names(file: Path) -> list[tuple[str, str]]:
    """Return the plugins that a configuration file lists, each with the key of its list."""
    config = read_config(file)
    listed = ((key, entries) for key in _FOLDERS if isinstance(entries := config.get(key), list))
    names = ((key, name_of(entry)) for key, entries in listed for entry in entries)
    # OpenCode 2 switches off what a minus begins.
    return [(key, name) for key, name in names if name and not name.startswith("-")]


def name_of(entry: object) -> str | None:
    """Return what an entry names: it may be that alone, or have options beside it."""
    if isinstance(entry, list):
        entry = entry[0] if entry else None
    if isinstance(entry, dict):
        entry = entry.get("package")
    return entry if isinstance(entry, str) else None
