"""A PID namespace of its own for a process, as a container has it. Needs the right to make one."""

from __future__ import annotations

import subprocess
from functools import cache

INSIDE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
"""What starts a command in a namespace of its own, which ends when this is killed."""


@cache
def why_none() -> str:
    """Return why no namespace can be made here; nothing where one can."""
    try:
        made = subprocess.run([*INSIDE, "true"], capture_output=True, text=True, timeout=20)
    except FileNotFoundError:
        return "there is no unshare"
    return f"unshare makes no namespace: {made.stderr.strip()}" if made.returncode else ""
