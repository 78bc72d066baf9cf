"""Has the service complained lately?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from background_agents.hosts.cli.diagnosis.findings import Finding, ok, warning
from background_agents.hosts.cli.diagnosis.scene import Scene, quoted

_RECENT = timedelta(days=1)
"""What is older has been seen, or does not matter any more."""

_READ_BYTES = 1_000_000
"""The whole file, by ``log.LOG_BYTES``."""

_SHOWN = 3

_ERROR = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ \d+ (?:ERROR|CRITICAL) (?P<says>.*)"
)
"""As ``log.FORMAT`` has it."""


def check_log(scene: Scene) -> Iterator[Finding]:
    """Show the last errors of the log file, which all projects share."""
    path = scene.place.data_root / "service.log"
    if not path.is_file():
        yield ok("log.errors", "The log is empty.")
        return
    # By the clock on the wall, as the log has it.
    since = datetime.now() - _RECENT
    errors = [one for one in _errors(path) if datetime.fromisoformat(one["at"]) > since]
    if not errors:
        yield ok("log.errors", f"The log has no error of the last day: {path}.")
        return
    yield warning(
        "log.errors",
        f"Errors in the log of the last day: {len(errors)}. The last of them:",
        f"less +G {quoted(path)}",
        *(f"{one['at']} {one['says']}" for one in errors[-_SHOWN:]),
    )


def _errors(path: Path) -> list[re.Match[str]]:
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _READ_BYTES))
        text = file.read(_READ_BYTES).decode(errors="replace")
    return [found for line in text.splitlines() if (found := _ERROR.fullmatch(line))]
