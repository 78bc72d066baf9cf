"""Does OpenCode's terminal load our panel? It skips what it cannot load, and says nothing."""

from __future__ import annotations

from collections.abc import Iterator

from background_agents.client.opencode_program import Line, Version, version_in
from background_agents.domain.errors import InvalidRequest
from background_agents.hosts.cli.diagnosis.findings import Finding, ok, problem, warning
from background_agents.hosts.cli.diagnosis.scene import Scene, edit
from background_agents.hosts.cli.installing import panel
from background_agents.hosts.cli.installing.panel import Config
from background_agents.hosts.cli.installing.plugin_conflicts import Kind
from background_agents.hosts.cli.installing.plugin_files import Scope


def check_configuration(scene: Scene) -> Iterator[Finding]:
    """Name every file that OpenCode's terminal skips, with its user's theme and keys."""
    for config in scene.panels:
        if why := _complaint(config):
            yield problem("panel.configuration", why, edit(config.file))


def check_loaded(scene: Scene) -> Iterator[Finding]:
    """Follow what makes each OpenCode load the panel."""
    ours = [one.file for one in scene.plugins if one.kind is Kind.OURS]
    if not ours:
        return  # the plugin comes first, and is installed by the same command
    readable = [one for one in scene.panels if not _complaint(one)]
    off = next((one.file for one in readable if one.is_off), None)
    if off is not None:
        yield ok("panel.off", f"The panel in OpenCode's screen is switched off by {off}.")
        return
    scope = Scope.PROJECT if ours[0] == scene.places.file(Scope.PROJECT) else Scope.GLOBAL
    again = f"background-agents install{scope.flag}"
    again = scene.here(again) if scope is Scope.PROJECT else again
    for version in _versions(scene):
        if version.line is Line.TWO:
            yield _of_second(scene, version, again)
        else:
            yield _of_first(version, readable, again)


def _complaint(config: Config) -> str:
    try:
        _ = config.entries
    except InvalidRequest as error:
        return str(error)
    return ""


def _versions(scene: Scene) -> list[Version]:
    answers = (one.out for one in scene.opencodes.values() if one.code == 0)
    return [version for text in answers if (version := version_in(text)) is not None]


def _of_first(version: Version, configs: list[Config], again: str) -> Finding:
    name = f"OpenCode {version.text}"
    files = {
        entry.script: one.file
        for one in configs
        if one.file.name != panel.CLI
        for entry in one.entries
    }
    file = next(iter(files.values()), None)
    if not panel.takes_entry(version):
        why = f"{name} is too old for the panel; its terminal goes on without it."
        if file is None:
            return ok("panel.version", why)
        why = f"{name} is too old for the panel, and may skip all of {file}, which names it."
        return warning("panel.version", why, "opencode upgrade")
    if file is None:
        why = f"{name} shows no panel, since no configuration of its terminal names it."
        return warning("panel.loaded", why, again)
    if not panel.IS_LOADABLE:
        why = f"{name} does not load {panel.SCRIPT}, because of the # in its path."
        return warning("panel.script", why, edit(file))
    others = [one for one in files if one != panel.SCRIPT]
    if others:
        why = f"{files[others[0]]} names the panel of another installation: {others[0]}."
        return warning("panel.script", why, again)
    why = f"{name} loads the panel by {file}, unless it is started with --pure."
    return ok("panel.loaded", why)


def _of_second(scene: Scene, version: Version, again: str) -> Finding:
    name = f"OpenCode {version.text}"
    scripts = {panel.package(scene.places, one) / "tui.js": one for one in Scope}
    there = {one: scope for one, scope in scripts.items() if one.is_file()}
    if not there:
        why = f"{name} shows no panel, since none of the folders that it reads has it."
        return warning("panel.loaded", why, again)
    old = [one for one, of in there.items() if one.read_text() != panel.package_files(of)[one.name]]
    if old:
        why = f"{old[0]} leads to the panel of another installation, or was changed."
        return warning("panel.script", why, again)
    if version.is_preview:
        why = f"{name} is a preview, which gave panels nothing to draw with; released ones do."
        return ok("panel.version", why)
    return ok("panel.loaded", f"{name} loads the panel from {next(iter(there)).parent}.")
