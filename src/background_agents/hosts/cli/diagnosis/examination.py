"""Runs all checks, none of which can keep the others from being run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from background_agents import __version__
from background_agents.domain.text import one_line
from background_agents.hosts.cli.diagnosis import (
    logs,
    machine,
    opencode,
    plugin,
    service,
    settings,
    snapshots,
    storage,
)
from background_agents.hosts.cli.diagnosis.findings import Finding, Mark, Report, Section
from background_agents.hosts.cli.diagnosis.scene import Scene

Check = Callable[[Scene], Iterator[Finding]]

_THEMES: Mapping[str, Sequence[Check]] = {
    "OpenCode": opencode.CHECKS,
    "Plugin": plugin.CHECKS,
    "Snapshots": snapshots.CHECKS,
    "Service": service.CHECKS,
    "Storage": storage.CHECKS,
    "Settings": settings.CHECKS,
    "Machine": machine.CHECKS,
    "Log": logs.CHECKS,
}


def examine(scene: Scene) -> Report:
    """Run every check and return what was found."""
    sections = tuple(
        Section(
            title=title,
            findings=tuple(finding for check in checks for finding in _run(check, scene)),
        )
        for title, checks in _THEMES.items()
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
