"""What makes OpenCode's terminal load our panel: for line 1 an entry, for line 2 a folder.

OpenCode 1 reads ``tui.json`` and ``tui.jsonc``. OpenCode 2 takes folders beneath ``plugins``, and
makes a ``cli.json`` of the ``tui.json`` when it has none, so what an entry names serves both lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from background_agents.client.opencode_program import Line, Version
from background_agents.domain.errors import InvalidRequest
from background_agents.hosts.cli.installing import jsonc
from background_agents.hosts.cli.installing.plugin_conflicts import OURS, name_of
from background_agents.hosts.cli.installing.plugin_files import BRIDGE, Change, Places, Scope, put

SCRIPT = BRIDGE.with_name("tui.js")
"""What an entry names."""

SECOND = BRIDGE.parent / "v2" / "panel.js"
"""What OpenCode 2's folder leads to: the released ones load no file that is named alone."""

IS_LOADABLE = "#" not in str(SCRIPT)
"""OpenCode 1 takes what follows a # for no part of the path, and says nothing."""

ID = "background-agents"
"""What the panel calls itself, by which its user switches it off."""

OLDEST = (1, 15)
"""Up to 1.3 OpenCode throws the whole file away for an entry; later ones lack what we need."""

CLI = "cli.json"
_TUI = ("tui.json", "tui.jsonc")


def takes_entry(version: Version) -> bool:
    """Return whether that OpenCode loads the panel by an entry in its configuration."""
    return version.line is Line.ONE and (version.major, version.minor) >= OLDEST


class Entry(NamedTuple):
    """An entry of ours, of this or another installation."""

    number: int
    """Its place in the list."""
    name: str
    script: Path


class Config:
    """A configuration file of OpenCode's terminal, and what it would say instead.

    What reads it raises ``InvalidRequest`` where OpenCode would skip all of it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._key = "plugins" if file.name == CLI else "plugin"

    @contextmanager
    def _refused(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            why = f"{self.file} is nothing that OpenCode reads ({error}): it skips all of it"
            raise InvalidRequest(f"{why}; mend that first.") from error

    @cached_property
    def text(self) -> str:
        """What is in the file, byte for byte."""
        with self._refused():
            return self.file.read_bytes().decode("utf-8")

    @cached_property
    def said(self) -> dict[str, object]:
        with self._refused():
            said = jsonc.parse(self.text)
        return said if isinstance(said, dict) else {}

    @property
    def is_ours(self) -> bool:
        """Whether it is there and may have an entry of ours, be it readable for OpenCode or not."""
        return self.file.is_file() and "/".join(SCRIPT.parts[-4:]) in self.text

    @property
    def entries(self) -> list[Entry]:
        """Our entries."""
        listed = self.said.get(self._key)
        names = [name_of(one) or "" for one in listed] if isinstance(listed, list) else []
        found = (Entry(at, name, self._path(name)) for at, name in enumerate(names))
        return [one for one in found if one.script.parts[-4:] == SCRIPT.parts[-4:]]

    def _path(self, name: str) -> Path:
        path = unquote(urlsplit(name).path) if name.startswith("file:") else name
        return self.file.parent / path

    @property
    def is_off(self) -> bool:
        """Whether the user has switched the panel off."""
        enabled, listed = self.said.get("plugin_enabled"), self.said.get(self._key)
        by_id = isinstance(enabled, dict) and enabled.get(ID) is False
        return by_id or (isinstance(listed, list) and f"-{ID}" in listed)

    def with_ours(self) -> str:
        """Return what it would say with our entry, once, and with its options if it has some."""
        wanted = str(SCRIPT)
        if not self.file.exists():
            return _new(self._key, wanted)
        ours = self.entries
        text = self._without(ours[1:])
        if ours and ours[0].script == SCRIPT:
            return text
        old = json.dumps(ours[0].name, ensure_ascii=False) if ours else None
        if old and old in text:
            return text.replace(old, json.dumps(wanted, ensure_ascii=False))
        with self._refused():
            return jsonc.with_entry(self._without(ours), self._key, wanted)

    def without_ours(self) -> str | None:
        """Return what it would say without our entries; None if nothing is left of it."""
        if [self.text] == [_new(self._key, one.name) for one in self.entries]:
            return None
        return self._without(self.entries)

    def _without(self, ours: list[Entry]) -> str:
        text = self.text
        for one in reversed(ours):
            with self._refused():
                text = jsonc.without_entry(text, self._key, one.number)
        return text


def _new(key: str, script: str) -> str:
    """Return a file with nothing but our entry, by which it is known as ours again."""
    return json.dumps({key: [script]}, ensure_ascii=False, indent=2) + "\n"


def config_of(places: Places, scope: Scope) -> Config:
    """Return OpenCode 1's file that gets our entry: that which has it, or else one that exists."""
    folder = _folder(places, scope)
    there = [file for name in _TUI if (file := folder / name).exists()]
    ours = [file for file in there if Config(file).is_ours]
    return Config([*ours, *there, folder / _TUI[0]][0])


def _folder(places: Places, scope: Scope) -> Path:
    return places.project if scope is Scope.PROJECT else places.user


def package(places: Places, scope: Scope) -> Path:
    """Return where the folder belongs that OpenCode 2 loads."""
    return _folder(places, scope) / "plugins" / ID


def package_files(scope: Scope) -> dict[str, str]:
    """Return what is in that folder, by name."""
    about = {"name": ID, "private": True, "type": "module", "exports": {"./tui": "./tui.js"}}
    return {
        "package.json": json.dumps(about, indent=2) + "\n",
        "tui.js": f"{OURS}{scope.flag}`; `background-agents uninstall{scope.flag}` removes it.\n"
        f"import panel from {json.dumps(str(SECOND))}; export default panel\n",
    }


def install_package(places: Places, scope: Scope) -> Change:
    """Write the folder for OpenCode 2, or refresh it. Raises ``InvalidRequest``."""
    wanted = {package(places, scope) / name: text for name, text in package_files(scope).items()}
    was = {file: file.read_text("utf-8", "replace") for file in wanted if file.is_file()}
    for file, text in wanted.items():
        if was.get(file) != text:
            put(file, text)
    if was == wanted:
        return Change.UNCHANGED
    return Change.REFRESHED if was else Change.WRITTEN


def all_of(places: Places, env: Mapping[str, str]) -> list[Config]:
    """Return every configuration file of OpenCode's terminal that there is."""
    folders = [*places.all, *(one.parent for one in places.all if one.name == ".opencode")]
    named = [folder / name for folder in folders for name in _TUI]
    named += [Path(more).absolute()] if (more := env.get("OPENCODE_TUI_CONFIG")) else []
    return [Config(one) for one in dict.fromkeys([*named, places.user / CLI]) if one.is_file()]


def install(config: Config) -> Change:
    """Write our entry, or refresh it when the package has moved. Raises ``InvalidRequest``."""
    is_there = config.file.exists() and bool(config.entries)
    new = config.with_ours()
    if is_there and new == config.text:
        return Change.UNCHANGED
    put(config.file, new)
    return Change.REFRESHED if is_there else Change.WRITTEN


def uninstall(places: Places, scope: Scope) -> list[str]:
    """Take the panel out of that scope, and say what there was of it.

    Raises:
        InvalidRequest: a file cannot be read, and may have an entry of ours.
    """
    there = package(places, scope)
    taken = [str(there)] if there.is_dir() else []
    for name in package_files(scope) if taken else ():
        (there / name).unlink(missing_ok=True)
    with suppress(OSError):  # somebody else's files are in there
        there.rmdir()
        there.parent.rmdir()
    configs = [Config(_folder(places, scope) / name) for name in (*_TUI, CLI)]
    for config in configs:
        if config.is_ours and config.entries:
            new = config.without_ours()
            config.file.unlink() if new is None else put(config.file, new)
            taken.append(f"the panel's entry in {config.file}")
    return taken
