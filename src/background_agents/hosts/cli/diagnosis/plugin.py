"""Does OpenCode load us, once, and nothing that stands in our way?"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from background_agents import __version__
from background_agents.hosts.cli.diagnosis.findings import Finding, ok, problem, warning
from background_agents.hosts.cli.diagnosis.scene import Scene, edit, quoted
from background_agents.hosts.cli.installing import plugin_files
from background_agents.hosts.cli.installing.plugin_conflicts import Kind
from background_agents.hosts.cli.installing.plugin_files import Scope, Shim


def check_loaded(scene: Scene) -> Iterator[Finding]:
    """Find our file in the folders that OpenCode reads, and that it is there once."""
    ours = [one.file for one in scene.plugins if one.kind is Kind.OURS]
    project = scene.places.file(Scope.PROJECT)
    if not ours:
        yield problem(
            "plugin.loaded",
            "OpenCode does not load background-agents: none of the folders that it reads for "
            f"{scene.place.directory} has our file.",
            "background-agents install",
        )
    elif len(ours) > 1:
        why = (
            "OpenCode loads background-agents more than once: OpenCode 1 registers its tools "
            "twice, and OpenCode 2 loads no plugin at all."
        )
        yield problem("plugin.twice", why, _one_less(scene, ours), *map(str, ours))
    elif scene.is_set("OPENCODE_DISABLE_PROJECT_CONFIG") and ours[0] == project:
        why = f"OpenCode does not load {ours[0]}, since OPENCODE_DISABLE_PROJECT_CONFIG is set."
        yield problem("plugin.loaded", why, "unset OPENCODE_DISABLE_PROJECT_CONFIG")
    elif scene.is_set("OPENCODE_CONFIG_PROJECT_DISABLE") and ours[0] == project:
        why = f"OpenCode 2 does not load {ours[0]}, since OPENCODE_CONFIG_PROJECT_DISABLE is set."
        yield problem("plugin.loaded", why, "unset OPENCODE_CONFIG_PROJECT_DISABLE")
    elif scene.env.get("OPENCODE_CONFIG_DIR") and ours[0] == scene.places.file(Scope.GLOBAL):
        why = (
            f"OpenCode 1 loads {ours[0]}; OpenCode 2 does not while OPENCODE_CONFIG_DIR is set, "
            "which takes that folder's place."
        )
        yield warning("plugin.loaded", why, "unset OPENCODE_CONFIG_DIR")
    else:
        yield ok("plugin.loaded", f"OpenCode loads background-agents from {ours[0]}.")


def _one_less(scene: Scene, ours: Sequence[Path]) -> str:
    """Return the command that removes the less useful of two: the one of the project."""
    if scene.places.file(Scope.PROJECT) in ours:
        return scene.here("background-agents uninstall --project")
    more = [file for file in ours if file != scene.places.file(Scope.GLOBAL)]
    return f"rm {quoted(more[-1])}"


def check_rivals(scene: Scene) -> Iterator[Finding]:
    """Name every other delegation plugin, and what nobody could look into."""
    for one in scene.plugins:
        match one.kind:
            case Kind.OURS:
                pass
            case Kind.RIVAL:
                aside = f"mv {quoted(one.file)} {quoted(Path(f'{one.file}.off'))}"
                yield problem("plugin.rival", one.why, aside)
            case Kind.ENTRY:
                yield problem("plugin.rival", one.why, edit(one.file))
            case Kind.UNREADABLE:
                is_json = one.file.suffix.startswith(".json")
                mend = edit(one.file) if is_json else f"chmod u+r {one.file}"
                yield problem("plugin.configuration", one.why, mend)


# What OpenCode starts for the bridge, without the bridge: all that the service imports.
_PROBE = """\
import sys
print("%d.%d.%d" % sys.version_info[:3], flush=True)
import background_agents
print(background_agents.__version__, flush=True)
import background_agents.hosts.opencode.server
print("ready")
"""

_CLEAN = ("-E", "-P", "-B")
"""Nothing is taken from the shell or the project's folder, as the bridge does it, or written."""

_OLDEST_PYTHON = (3, 11)
"""``requires-python`` of the package."""


def check_files(scene: Scene) -> Iterator[Finding]:
    """Follow what each of our files says: the bridge, and the Python that it starts."""
    for found in scene.plugins:
        if found.kind is Kind.OURS:
            yield from _check_file(scene, found.file)


def _check_file(scene: Scene, file: Path) -> Iterator[Finding]:
    shim = plugin_files.read_shim(file.read_text("utf-8", errors="replace"))
    if shim is None:
        why = f"{file} was changed, and does not say any more where background-agents is."
        yield problem("plugin.file", why, _again(scene, file))
        return
    if not shim.bridge.is_file():
        yield problem(
            "plugin.bridge",
            f"{file} leads to {shim.bridge}, which is gone: background-agents was moved, or "
            "installed anew elsewhere.",
            _again(scene, file),
        )
    if not shim.is_for_both:
        why = (
            f"{file} was written by an earlier version, for OpenCode 1 alone: OpenCode 2 does not "
            "load it."
        )
        yield warning("plugin.file", why, _again(scene, file))
    if file.is_relative_to(scene.places.user) or shim.python == sys.executable:
        yield _check_python(scene, file, shim)
    else:
        # Whoever looks into a project that others wrote does not want to run what it names.
        said = f"{file} names {shim.python}, which is not tried: the file may be somebody else's."
        yield ok("plugin.python", said)


def _check_python(scene: Scene, file: Path, shim: Shim) -> Finding:
    again, python = _again(scene, file), shim.python
    if not Path(python).exists():
        why = f"The Python that OpenCode starts is gone: {python}."
        return problem("plugin.python", why, again)
    answer = scene.ask([python, *_CLEAN, "-c", _PROBE], {"PYTHONUSERBASE": shim.userbase or ""})
    said = answer.out.splitlines()
    if not said:
        why = f"{python}, which OpenCode starts, does not run: {answer.last_words}."
        return problem("plugin.python", why, again)
    if tuple(map(int, said[0].split(".")))[:2] < _OLDEST_PYTHON:
        why = f"{python}, which OpenCode starts, is Python {said[0]}; it must be 3.11 or newer."
        return problem("plugin.python", why, again)
    if "ready" not in said:
        why = f"{python}, which OpenCode starts, cannot import background-agents"
        return problem("plugin.package", f"{why}: {answer.last_words}.", again)
    version = said[1]
    if version != __version__:
        why = (
            f"OpenCode runs background-agents {version} ({python}), and this command is "
            f"{__version__}; they may not understand each other's records."
        )
        return problem("plugin.version", why, again)
    return ok("plugin.python", f"{python} runs background-agents {version}.")


def _again(scene: Scene, file: Path) -> str:
    """Return the command that writes one of our files anew."""
    if file == scene.places.file(Scope.PROJECT):
        return scene.here("background-agents install --project")
    if file == scene.places.file(Scope.GLOBAL):
        return "background-agents install"
    return f"rm {quoted(file)} && background-agents install"
