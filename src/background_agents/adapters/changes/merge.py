"""Three texts made one by git, which knows best how.

On raw bytes in files of our own, outside of any repository: what a user or a repository has
configured counts for nothing here.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from subprocess import TimeoutExpired

from background_agents.adapters.projects.git import UNCONFIGURED, run
from background_agents.domain.errors import GitFailed
from background_agents.domain.undoing import Reason

LIMIT_S = 30.0
"""Ten thousand lines take some milliseconds."""

_MOST_CONFLICTS = 127
"""``git merge-file`` exits with their number, up to this; what is more is an error."""


def merged(current: bytes, base: bytes, other: bytes) -> bytes | Reason:
    """Return ``current`` with what leads from ``base`` to ``other``, or why that cannot be.

    Raises:
        OSError: there is no room for the three.
    """
    with tempfile.TemporaryDirectory(prefix="background-agents-") as name:
        folder = Path(name)
        for side, content in (("current", current), ("base", base), ("other", other)):
            (folder / side).write_bytes(content)
        # The folder for temporary files may lie in a repository.
        env = {**UNCONFIGURED, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
        command = ("merge-file", "-p", "-q", "current", "base", "other")
        try:
            return run(command, folder, env, limit_s=LIMIT_S)
        except GitFailed as error:
            # What takes longer is as good as a conflict.
            is_late = isinstance(error.__cause__, TimeoutExpired)
            is_conflict = is_late or 0 < (error.code or 0) <= _MOST_CONFLICTS
            return Reason.CONFLICT if is_conflict else Reason.NO_GIT
