"""Names a project by its git history, so that all worktrees of a repository share it."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

log = logging.getLogger(__name__)

GIT_LIMIT_S = 10.0
"""Git answers in milliseconds; a repository on a sleeping network disk may take seconds."""


def project_id(directory: Path) -> str:
    """Return the id of the repository's root commit, or a hash of the directory's path.

    Of several root commits the first by name is taken, so that the answer does not depend
    on the branch. Blocks while git looks.
    """
    roots = _root_commits(directory)
    if roots:
        return min(roots)
    import hashlib  # brings OpenSSL with it, for folders without git alone

    return hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:16]


def _root_commits(directory: Path) -> list[str]:
    command = ["git", "rev-list", "--max-parents=0", "--all"]
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=GIT_LIMIT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("git could not be asked about %s: %s", directory, error)
        return []
    return done.stdout.split() if done.returncode == 0 else []
