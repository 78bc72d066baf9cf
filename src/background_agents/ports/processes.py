"""What the service may ask of the machine's processes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import Enum
from typing import Protocol


class Fate(Enum):
    """What can be said here of a process."""

    ALIVE = "alive"
    ENDED = "ended"
    ELSEWHERE = "elsewhere"
    """It is of another PID namespace, and not ours to judge."""


class Processes(Protocol):
    """Processes by names that hold for good: a pid that is used again has another name."""

    def boot_id(self) -> str:
        """Return what tells this run of the machine from others; empty where it is not told."""

    def host_name(self) -> str:
        """Return the name of the process that started this one, whose agents it supervises."""

    def fate_of(self, name: str) -> Fate:
        """Return whether the process of that name has ended."""

    def left_running(self, delegation: str) -> list[str]:
        """Return what a delegation's shells started and still runs, a sentence each; it blocks."""

    async def hand(self, command: Sequence[str], content: bytes, limit: timedelta) -> str:
        """Run a command as the user would at home, with ``content`` on its stdin.

        Return why it failed, as what follows on "it"; empty if it did not. After ``limit``, or
        when this is cancelled, it is killed with all that it has started.
        """

    def is_running(self, name: str) -> bool:
        """Return whether the process of that name is alive and not frozen."""
