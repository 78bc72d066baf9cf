"""An OpenCode binary, and a home for it: isolated from the user's, and usable offline.

Writes what OpenCode finds when it starts: folders, configuration, a git project, the
environment. Starts no server; that is ``lab.harness.opencode``.
"""

from __future__ import annotations

import os
import platform
import secrets
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from background_agents.domain.errors import DelegationError
from background_agents.hosts.cli.installing import plugin_files
from lab.harness.line import Line, line_of

PROVIDER = "Scripted"
"""How a user reads the name of the scripted models' provider."""

CHECKOUT = Path(__file__).resolve().parents[2]


TOOLS = CHECKOUT / "tools" / "opencode"


class OpenCodeMissing(DelegationError):
    """There is no OpenCode binary to run."""

    def __init__(self, looked_at: Path) -> None:
        super().__init__(
            f"There is no OpenCode at {looked_at}: run `make setup` "
            "(`make test-versions` for other versions), or set OPENCODE_BIN to a binary."
        )


@dataclass(frozen=True)
class Binary:
    """An OpenCode executable and its version."""

    path: Path
    version: str

    @property
    def line(self) -> Line:
        return line_of(self.version)


def find_binary(line: Line = Line.ONE, environ: Mapping[str, str] = os.environ) -> Binary:
    """Return the OpenCode to run.

    ``OPENCODE_BIN`` names one, of whichever line; else it is the one under ``tools/opencode``
    of the checkout, in the version that ``OPENCODE_VERSION`` asks for, else the one that is
    pinned for ``line``.

    Raises:
        OpenCodeMissing: There is none.
    """
    if given := environ.get("OPENCODE_BIN"):
        path = Path(given).resolve()
        if not os.access(path, os.X_OK):
            raise OpenCodeMissing(path)
        asked = [str(path), "--version"]
        said = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)
        # OpenCode 2 says its name first, and a `v`.
        return Binary(path, said.stdout.split()[-1].removeprefix("v"))
    wanted = environ.get("OPENCODE_VERSION")
    pinned = {Line.ONE: TOOLS, Line.TWO: TOOLS / "next"}
    folders = [*pinned.values(), TOOLS / "versions" / wanted] if wanted else [pinned[line]]
    for folder in folders:
        found = _installed_in(folder)
        if found is not None and wanted in (None, found.version):
            return found
    raise OpenCodeMissing(folders[-1] / "node_modules")


def lines_under_test(environ: Mapping[str, str] = os.environ) -> tuple[Line, ...]:
    """Return the lines whose binaries ``find_binary`` finds: one, where the environment says it.

    The preview of OpenCode 2 is known for Linux on x86-64 only.
    """
    if environ.get("OPENCODE_BIN"):
        return (find_binary(environ=environ).line,)
    if wanted := environ.get("OPENCODE_VERSION"):
        return (line_of(wanted),)
    known = (platform.system(), platform.machine()) == ("Linux", "x86_64")
    return (Line.ONE, Line.TWO) if known else (Line.ONE,)


def _installed_in(folder: Path) -> Binary | None:
    modules = folder / "node_modules"
    places = (
        (modules / _platform_package(), "opencode"),
        (modules / "@opencode-ai" / "cli-linux-x64-baseline", "opencode2"),
    )
    for package, name in places:
        path = package / "bin" / name
        if os.access(path, os.X_OK):
            raw = (package / "package.json").read_bytes()
            return Binary(path, msgspec.json.decode(raw, type=_Manifest).version)
    return None


class _Manifest(msgspec.Struct):
    version: str


def _platform_package() -> str:
    """Return the name of the npm package that holds the binary for this machine."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"opencode-{platform.system().lower()}-{machine}"
    if platform.system() == "Linux":
        if machine == "x64" and " avx2 " not in Path("/proc/cpuinfo").read_text():
            name += "-baseline"
        if platform.libc_ver()[0] != "glibc":
            name += "-musl"
    return name


def free_port() -> int:
    """Return a port of the loopback that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Home:
    """All that one user of OpenCode has on disk: home, configuration, data and a project."""

    root: Path
    version: str
    """Of the OpenCode that will live here."""

    @property
    def line(self) -> Line:
        return line_of(self.version)

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def config(self) -> Path:
        return self.root / "config" / "opencode"

    @property
    def data(self) -> Path:
        return self.root / "data" / "opencode"

    @property
    def scratch(self) -> Path:
        """Its temporary folder. An OpenCode that is killed leaves libraries of some 10 MB there.

        OpenCode 2 leaves 26 MB, however it ends.
        """
        return self.root / "tmp"

    @property
    def models(self) -> Path:
        """The catalogue of models, empty: to read its own takes OpenCode half of its start."""
        return self.root / "models.json"

    def create(self, base_url: str, config: Mapping[str, object] | None = None) -> None:
        """Make the folders, a git project with one commit, and ``opencode.json``.

        ``base_url`` is the scripted model's; ``config`` is merged over the defaults.
        """
        for folder in (self.root / "home", self.project, self.config, self.scratch):
            folder.mkdir(parents=True, exist_ok=True)
        self._settle()
        self.models.write_text("{}")
        merged = _merge(_default_config(base_url, self.line), config or {})
        text = msgspec.json.format(msgspec.json.encode(merged), indent=2)
        (self.config / "opencode.json").write_bytes(text)
        (self.project / "README.md").write_text("# A project\n")
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid"]
        for args in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "Start"]):
            subprocess.run(
                ["git", *args], cwd=self.project, env=self.environment(), check=True, timeout=30
            )

    def _settle(self) -> None:
        if self.line is Line.ONE:
            settle(self.config, self.version)
            return
        # The server that its terminals share has one port for all homes of a machine.
        shared = {"port": free_port(), "password": secrets.token_urlsafe()}
        (self.config / "service.json").write_bytes(msgspec.json.encode(shared))

    def clear(self) -> None:
        """Remove the libraries that an OpenCode has unpacked here; those in use stay in use."""
        for library in self.scratch.glob(".*.so"):
            library.unlink(missing_ok=True)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment in which OpenCode sees this home and nothing of the user's."""
        foreign = ("OPENCODE", "BACKGROUND_AGENTS_", "XDG_", "GIT_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        places = {
            f"XDG_{kind.upper()}_HOME": str(self.root / kind)
            for kind in ("config", "data", "state", "cache")
        }
        return {
            **kept,
            **places,
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.scratch),
            "NO_PROXY": "127.0.0.1,localhost",
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_MODELS_PATH": str(self.models),
            **(extra or {}),
        }

    def install_plugin(self) -> Path:
        """Install our plugin as a user does, and return the file that loads it."""
        places = plugin_files.Places.of(self.project, self.environment())
        plugin_files.install(places, plugin_files.Scope.GLOBAL)
        return places.file(plugin_files.Scope.GLOBAL)


def settle(folder: Path, version: str) -> None:
    """Make a configuration directory look as if OpenCode had installed its package there.

    On the first start with a directory that holds plugins OpenCode fetches
    ``@opencode-ai/plugin`` (5 s, or a minute and a failure without a network). It does
    not when ``node_modules`` exists and both package files name its version (seen on
    1.15.4, 1.17.19 and 1.18.33); our plugin imports nothing from there. OpenCode 2 fetches
    nothing for a plugin that is a file.
    """
    (folder / "node_modules").mkdir(parents=True, exist_ok=True)
    wanted = {"dependencies": {"@opencode-ai/plugin": version}}
    lock = {"lockfileVersion": 3, "packages": {"": wanted}}
    (folder / "package.json").write_bytes(msgspec.json.encode(wanted))
    (folder / "package-lock.json").write_bytes(msgspec.json.encode(lock))


def _default_config(base_url: str, line: Line) -> dict[str, object]:
    limit = {"context": 200_000, "output": 32_000}
    models = {name: {"name": name, "limit": limit} for name in ("one", "two", "small")}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": PROVIDER,
        "options": {"baseURL": base_url, "apiKey": "none"},
        "models": models,
    }
    # OpenCode 2 has no small model beside the one that its agent for titles may have.
    small: Mapping[Line, dict[str, object]] = {
        Line.ONE: {"small_model": "scripted/small"},
        Line.TWO: {"agent": {"title": {"model": "scripted/small"}}},
    }
    return {
        "model": "scripted/one",
        **small[line],
        "share": "disabled",
        "provider": {"scripted": provider},
    }


def _merge(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, Mapping)
        merged[key] = _merge(old, value) if both else value  # type: ignore[arg-type]
    return merged
