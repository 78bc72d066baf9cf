"""Three texts made one by git, which knows best how.

On raw bytes in files of our own, outside of any repository: what a user or a repository has
configured counts for nothing here.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from background_agents.adapters.projects.git import ALONE, ELSEWHERE, HARMLESS
from background_agents.domain.undoing import Reason

LIMIT_S = 30.0
"""Ten thousand lines take some milliseconds; what takes longer is as good as a conflict."""

_MOST_CONFLICTS = 127
"""``git merge-file`` exits with their number, up to this; what is more is an error."""


def merged(current: bytes, base: bytes, other: bytes) -> bytes | Reason:
    """Return ``current`` with what leads from ``base`` to ``other``, or why that cannot be.

    Raises:
        OSError: there is no room for the three.
    """
    with tempfile.TemporaryDirectory(prefix="background-agents-") as folder:
        for name, content in (("current", current), ("base", base), ("other", other)):
            (Path(folder) / name).write_bytes(content)
        command = ["git", *HARMLESS, "merge-file", "-p", "-q", "current", "base", "other"]
        try:
            done = subprocess.run(
                command, cwd=folder, env=_environment(folder), stdin=subprocess.DEVNULL,
                capture_output=True, timeout=LIMIT_S,
            )  # fmt: skip
        except FileNotFoundError:
            return Reason.NO_GIT
        except subprocess.TimeoutExpired:
            return Reason.CONFLICT
    if 0 < done.returncode <= _MOST_CONFLICTS:
        return Reason.CONFLICT
    return done.stdout if done.returncode == 0 else Reason.NO_GIT


def _environment(folder: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    unconfigured = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    # The folder for temporary files may lie in a repository.
    return {**env, **ALONE, **unconfigured, "GIT_CEILING_DIRECTORIES": str(Path(folder).parent)}
