"""``background-agents install``: make OpenCode load the plugin, and its terminal the panel."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from background_agents.client.managed_server import registered
from background_agents.client.opencode_program import Line, Version, programs, version_of
from background_agents.hosts.cli.installing import panel, plugin_files
from background_agents.hosts.cli.installing.plugin_files import Change, Places, Scope


def add_arguments(parser: ArgumentParser) -> None:
    """Take where to install, and whether to show it only."""
    parser.add_argument(
        "--project",
        action="store_true",
        help="only in the project of the current folder, not for all of yours",
    )
    parser.add_argument(
        "--print",
        dest="show",
        action="store_true",
        help="show what would be written and where; write nothing",
    )


def run(given: Namespace) -> None:
    """Write the plugin's file and the panel's entry, or show them."""
    scope = Scope.PROJECT if given.project else Scope.GLOBAL
    places = Places.of(Path.cwd(), os.environ)
    found = {one: version_of(one, os.environ) for one in programs(os.environ)}
    known = [version for version in found.values() if version is not None]
    with_entry = panel.IS_LOADABLE and any(map(panel.takes_entry, known))
    config = panel.config_of(places, scope) if with_entry else None
    # What cannot be edited is refused before anything is written.
    entry = {config.file: config.with_ours()} if config else {}
    if given.show:
        print(_shown(places, scope, entry), end="")
        return
    plugin_files.refuse_what_vanishes()
    changes = {str(places.file(scope)): plugin_files.install(places, scope)}
    changes[f"{panel.package(places, scope)}, the panel of OpenCode 2"] = panel.install_package(
        places, scope
    )
    if config:
        changes[f"the panel's entry in {config.file}"] = panel.install(config)
    for what, change in changes.items():
        print(f"{_SAID[change]}: {what}")
    if why := _without_entry(known):
        print(f"OpenCode 1 shows no panel: {why}")
    for sentence in _next_steps(found, is_new={*changes.values()} != {Change.UNCHANGED}):
        print(sentence)


def _without_entry(known: Sequence[Version]) -> str | None:
    """Say why OpenCode 1 gets no entry, if it should have one."""
    if not panel.IS_LOADABLE:
        return f"there is a # in the path to it, {panel.SCRIPT}."
    if any(panel.takes_entry(one) or one.line is Line.TWO for one in known):
        return None
    oldest = ".".join(map(str, panel.OLDEST))
    return f"none from {oldest} on is in PATH, or it does not tell; run this again when one is."


def _shown(places: Places, scope: Scope, entry: Mapping[Path, str]) -> str:
    package = panel.package(places, scope)
    files = {
        places.file(scope): plugin_files.shim(scope),
        **{package / name: text for name, text in panel.package_files(scope).items()},
        **entry,
    }
    return "\n".join(f"{file}\n\n{text}" for file, text in files.items())


def _next_steps(found: Mapping[Path, Version | None], *, is_new: bool) -> Iterator[str]:
    """Say which OpenCode loads it, and when."""
    yours = _told(found)
    if is_new:
        yield f"OpenCode 1 and OpenCode 2 load it at their next start; {yours}"
        managed = registered(os.environ)
        if managed is not None and managed.is_there:
            yield "OpenCode 2's managed server runs; start it again by `opencode service restart`."
    else:
        yield yours[:1].upper() + yours[1:]
    yield "Whether all is well says `background-agents doctor`."


def _told(found: Mapping[Path, Version | None]) -> str:
    program, version = next(iter(found.items()), (None, None))
    if program is None:
        return "none is installed here, or its folder is not in PATH."
    if version is None:
        return f"yours is {program}, which does not tell its version."
    return f"yours is OpenCode {version.line} ({version.text}, {program})."


_SAID = {
    Change.WRITTEN: "Installed",
    Change.REFRESHED: "Refreshed",
    Change.UNCHANGED: "Already there",
}
