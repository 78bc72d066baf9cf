"""Is OpenCode there, in a version that we know, and does it load plugins at all?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from background_agents.client.opencode_program import (
    Line,
    Version,
    version_in,
)
from background_agents.hosts.cli.diagnosis.findings import Finding, ok, problem, warning
from background_agents.hosts.cli.diagnosis.scene import Answer, Scene, quoted, upgrade

TESTED = ((1, 15), (1, 18))
"""The oldest and the newest of OpenCode 1 that the tests run on; `make test-versions` has them."""

NEWEST = "1.18.33"

PREVIEW = "0.0.0-next-16350"
"""Of OpenCode 2, which the tests run on, too."""

_INSTALL = "npm install -g opencode-ai"


def check_opencode(scene: Scene) -> Iterator[Finding]:
    """Find the programs, and ask each for its version."""
    if not scene.opencodes:
        why = "OpenCode is not installed, or its folder is not in PATH."
        yield problem("opencode.program", why, _INSTALL)
    for program, answer in scene.opencodes.items():
        yield _examined(program, answer)


def _examined(program: Path, answer: Answer) -> Finding:
    version = version_in(answer.out) if answer.code == 0 else None
    if version is not None:
        return _judged(version, program)
    said = answer.last_words if answer.code else answer.out or answer.last_words
    why = f"OpenCode is {program}, but does not tell its version: {said}."
    return problem("opencode.program", why, _INSTALL)


def _judged(version: Version, program: Path) -> Finding:
    said = f"OpenCode {version.text} is {program}"
    if version.line is Line.TWO:
        return _judged_as_two(version, said)
    oldest, newest = TESTED
    number = (version.major, version.minor)
    if oldest <= number <= newest:
        return ok("opencode.version", f"{said}.")
    tested = f"{'.'.join(map(str, oldest))} to {'.'.join(map(str, newest))}"
    age = "older" if number < oldest else "newer"
    return warning(
        "opencode.version",
        f"{said}, which is {age} than what background-agents was tested with ({tested}, and "
        "OpenCode 2); it may work, or may not.",
        f"opencode upgrade {NEWEST}",
    )


def _judged_as_two(version: Version, said: str) -> Finding:
    if version.major > Line.TWO:
        why = f"{said}, which is newer than what this background-agents knows (OpenCode 1 and 2)."
        return warning("opencode.version", why, upgrade())
    if version.text == PREVIEW:
        return ok("opencode.version", f"{said}, a preview of OpenCode 2.")
    return ok(
        "opencode.version",
        f"{said}. Of OpenCode 2 the preview {PREVIEW} was tested; what others do differently is "
        "known from its documentation.",
    )


def check_plugins_allowed(scene: Scene) -> Iterator[Finding]:
    """Look for settings of OpenCode's own that keep plugins out."""
    if scene.is_set("OPENCODE_PURE"):
        why = (
            "OPENCODE_PURE is set, so that an OpenCode 1 that is started from here loads no plugin."
        )
        yield problem("opencode.pure", why, "unset OPENCODE_PURE")


def check_managed_server(scene: Scene) -> Iterator[Finding]:
    """Look after the server that the terminals of OpenCode 2 share."""
    server = scene.managed
    if server is None:
        return
    name = f"OpenCode 2's managed server (version {server.version}, process {server.pid})"
    program = quoted(scene.managed_by)
    if not server.is_there:
        why = f"{name} has ended without an orderly stop; the next OpenCode waits 5 s for it."
        yield warning("opencode.server", why, f"{program} service start", str(server.file))
    elif not server.answers():
        why = f"{name} does not answer at {server.url}, or not to the password in its file."
        yield problem("opencode.server", why, f"{program} service restart", str(server.file))
    else:
        yield ok("opencode.server", f"{name} serves {server.url}.")
