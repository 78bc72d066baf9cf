"""Is what was set what was meant?"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from difflib import get_close_matches

from background_agents import config
from background_agents.config.kinds import KINDS
from background_agents.config.sources import PREFIX, SECTION
from background_agents.hosts.cli.diagnosis.findings import Finding, ok, problem, warning
from background_agents.hosts.cli.diagnosis.scene import Scene, edit


def check_settings(scene: Scene) -> Iterator[Finding]:
    """Say what is refused; while there is any of it, no tool works."""
    reading = config.read(scene.env)
    for error in reading.errors:
        of_environment = error.name.startswith(PREFIX)
        mend = f"unset {error.name}" if of_environment else edit(reading.path)
        yield problem("settings.refused", f"{error} Until then no tool works.", mend)
    if not reading.errors:
        is_there = reading.path.exists()
        said = f"The settings are valid: {reading.path}" if is_there else "The settings are valid"
        yield ok("settings.refused", f"{said}.")


def check_variables(scene: Scene) -> Iterator[Finding]:
    """Name variables that look like ours and are none."""
    for name in sorted(scene.env):
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() not in KINDS:
            yield _unknown(name)


def _unknown(name: str) -> Finding:
    said = f"{name} is no setting and has no effect"
    near = get_close_matches(name.removeprefix(PREFIX).lower(), KINDS, n=1, cutoff=0.75)
    if not near:
        said = f"{said}; `background-agents config` lists them."
        return warning("settings.unknown", said, f"unset {name}")
    meant = config.variable(near[0])
    mend = f"export {meant}=${name}; unset {name}"
    return warning("settings.unknown", f"{said}; did you mean {meant}?", mend)


def check_misplaced(scene: Scene) -> Iterator[Finding]:
    """Name settings of the file that stand outside of our section, where nobody reads them."""
    path = config.config_path(scene.env)
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return  # there is none, or check_settings says what is wrong
    misplaced = [name for name in content if name in KINDS]
    if misplaced:
        yield warning(
            "settings.misplaced",
            f"{', '.join(misplaced)} in {path} has no effect: it must stand below a line "
            f"[{SECTION}].",
            edit(path),
        )
