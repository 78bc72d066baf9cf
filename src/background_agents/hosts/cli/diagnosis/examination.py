"""Runs all checks, none of which can keep the others from being run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

from background_agents import __version__
from background_agents.domain.text import one_line
from background_agents.hosts.cli.diagnosis import (
    logs,
    machine,
    opencode,
    panel,
    plugin,
    service,
    settings,
    snapshots,
    storage,
)
from background_agents.hosts.cli.diagnosis.findings import Finding, Mark, Report, Section
from background_agents.hosts.cli.diagnosis.scene import Scene

Check = Callable[[Scene], Iterator[Finding]]

_THEMES: Mapping[str, ModuleType] = {
    "OpenCode": opencode,
    "Plugin": plugin,
    "Panel": panel,
    "Snapshots": snapshots,
    "Service": service,
    "Storage": storage,
    "Settings": settings,
    "Machine": machine,
    "Log": logs,
}


def examine(scene: Scene) -> Report:
    """Run every check and return what was found."""
    sections = tuple(
        Section(
            title=title,
            findings=tuple(finding for check in _checks(theme) for finding in _run(check, scene)),
        )
        for title, theme in _THEMES.items()
    )
    marks = [finding.mark for section in sections for finding in section.findings]
    return Report(
        well=Mark.PROBLEM not in marks,
        version=__version__,
        directory=str(scene.place.directory),
        project=scene.place.project,
        data=str(scene.place.folder),
        sections=sections,
    )


def _checks(theme: ModuleType) -> list[Check]:
    """Return the functions of a module that are called ``check_…``, in their order there."""
    return [member for name, member in vars(theme).items() if name.startswith("check_")]


def _run(check: Check, scene: Scene) -> Iterator[Finding]:
    try:
        yield from check(scene)
    except Exception as error:
        # Whatever it is: who asks what is wrong must not get a traceback instead of the rest.
        name = f"{check.__module__.rpartition('.')[2]}.{check.__name__}"
        yield Finding(
            check=name,
            mark=Mark.PROBLEM,
            says=f"The check {name} itself failed ({type(error).__name__}: "
            f"{one_line(str(error), 300)}), so that nothing is known of this; the others went on.",
            mend="background-agents doctor --json  # and report it with what this says",
        )
