"""Is OpenCode there, in a version that we know, and does it load plugins at all?"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator

from background_agents.hosts.cli.diagnosis.findings import Finding, ok, problem, warning
from background_agents.hosts.cli.diagnosis.scene import Answer, Scene

TESTED = ((1, 15), (1, 18))
"""The oldest and the newest version that the tests run on; `make test-versions` has them."""

NEWEST = "1.18.33"

_VERSION = re.compile(r"\b(\d+)\.(\d+)\.\d+\S*")

_INSTALL = "npm install -g opencode-ai"


def check_opencode(scene: Scene) -> Iterator[Finding]:
    """Find the program, and ask for its version."""
    program = shutil.which("opencode", path=scene.env.get("PATH"))
    if program is None:
        why = "OpenCode is not installed, or its folder is not in PATH."
        yield problem("opencode.program", why, _INSTALL)
        return
    answer = _version_of(scene, program)
    found = _VERSION.search(answer.out) if answer.code == 0 else None
    if found is None:
        said = answer.last_words if answer.code else answer.out or answer.last_words
        why = f"OpenCode is {program}, but does not tell its version: {said}."
        yield problem("opencode.program", why, _INSTALL)
        return
    yield _judged(found, program)


def _judged(version: re.Match[str], program: str) -> Finding:
    oldest, newest = TESTED
    number = (int(version[1]), int(version[2]))
    said = f"OpenCode {version[0]} is {program}"
    if oldest <= number <= newest:
        return ok("opencode.version", f"{said}.")
    tested = f"{'.'.join(map(str, oldest))} to {'.'.join(map(str, newest))}"
    age = "older" if number < oldest else "newer"
    return warning(
        "opencode.version",
        f"{said}, which is {age} than what background-agents was tested with ({tested}); it may "
        "work, or may not.",
        f"opencode upgrade {NEWEST}",
    )


def _version_of(scene: Scene, program: str) -> Answer:
    """Ask for the version. OpenCode makes folders for that, so it gets a place to throw away."""
    with tempfile.TemporaryDirectory(prefix="background-agents-") as folder:
        kinds = ("CONFIG", "DATA", "STATE", "CACHE")
        elsewhere = {f"XDG_{kind}_HOME": folder for kind in kinds} | {"TMPDIR": folder}
        answer = scene.ask([program, "--version"], elsewhere)
    if answer.code == 0:
        return answer
    # Some version managers look for programs where XDG says.
    return scene.ask([program, "--version"])


def check_plugins_allowed(scene: Scene) -> Iterator[Finding]:
    """Look for settings of OpenCode's own that keep plugins out."""
    if scene.is_set("OPENCODE_PURE"):
        why = "OPENCODE_PURE is set, so that an OpenCode that is started from here loads no plugin."
        yield problem("opencode.pure", why, "unset OPENCODE_PURE")
