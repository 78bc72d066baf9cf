"""What is kept of sessions in memory, so that the hot path asks OpenCode for nothing."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")

KNOWN_SESSIONS = 1_000
"""Parents, newest messages and the like kept in memory, 1 MB of them; the oldest are asked for
again. Those of sessions that live on are learned anew with each event that tells of them."""

MAX_DEPTH = 32
"""Longest chain of parents that is followed; OpenCode's own sub-agents nest a few deep."""


def remember(memory: dict[str, T], key: str, value: T) -> None:
    """Keep a value as the newest of at most ``KNOWN_SESSIONS``."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > KNOWN_SESSIONS:
        del memory[next(iter(memory))]
