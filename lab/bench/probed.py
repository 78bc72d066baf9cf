"""An OpenCode with the benchmark's probe in it, and what the probe and the messages tell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from lab.harness.client import Events, OpenCodeClient, StoredMessage
from lab.harness.client.events import Idle
from lab.harness.opencode import OpenCode, running_opencode
from lab.model_server import ModelServer

PROBE = Path(__file__).with_name("probe.js")

WARM_UP = 5
"""Rounds that are not counted: OpenCode's first calls load code."""

REST_LIMIT_S = 120.0
"""Until something that works has ended: hundreds of children on a slow machine."""

NATIVE = {
    "OPENCODE_EXPERIMENTAL_BACKGROUND_SUBAGENTS": "true",
    "BACKGROUND_AGENTS_ALLOW_TASK": "1",
}
"""Lets OpenCode's own background subagents run beside ours."""


class Stamp(msgspec.Struct):
    """A moment that the probe saw inside OpenCode, in milliseconds since its start."""

    at_ms: float
    type: str
    session: str | None = None
    parent: str | None = None
    title: str | None = None
    message: str | None = None
    role: str | None = None


class Way(msgspec.Struct):
    """How long it took from a child's idle to the news of it in its parent."""

    title: str
    """The child's."""
    took_ms: float


@asynccontextmanager
async def probed(
    root: Path,
    model: ModelServer,
    *,
    plugin: bool = True,
    at_once: int = 8,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[OpenCode]:
    """Run OpenCode with the probe, and with or without our plugin."""
    config = {"plugin": [PROBE.as_uri()]}
    given = {
        "PROBE_FILE": str(stamps_file(root)),
        "BACKGROUND_AGENTS_MAX_CONCURRENT": str(at_once),
        **(env or {}),
    }
    async with running_opencode(
        root, model.base_url, plugin=plugin, config=config, env=given
    ) as opencode:
        yield opencode


def stamps_file(root: Path) -> Path:
    """Return where the probe of the OpenCode under ``root`` writes."""
    return Path(f"{root}.jsonl")


def stamps(root: Path) -> list[Stamp]:
    """Return what the probe has seen so far."""
    lines = stamps_file(root).read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Stamp) for line in lines]


def calls(messages: Sequence[StoredMessage], tool: str) -> list[float]:
    """Return how long each call of a tool took, by OpenCode's own clock (whole ms)."""
    return [part.took_ms for one in messages for part in one.parts if part.tool == tool]


def ways(seen: Sequence[Stamp], parent: str) -> list[Way]:
    """Return the time from each child's idle to the parent's next user message."""
    titles = {one.session: one.title or "" for one in seen if one.parent == parent}
    found: list[Way] = []
    idle: Stamp | None = None
    told: set[str | None] = set()
    for stamp in seen:
        if stamp.type == "session.idle" and stamp.session in titles:
            idle = stamp
        elif stamp.role == "user" and stamp.session == parent and stamp.message not in told:
            told.add(stamp.message)
            if idle is not None:
                found.append(Way(titles[idle.session], stamp.at_ms - idle.at_ms))
                idle = None
    return found


async def at_rest(client: OpenCodeClient, events: Events, session: str | None = None) -> None:
    """Return once a session is idle, by default once all are."""
    while True:
        since = events.mark()
        busy = await client.busy()
        if not busy or (session is not None and session not in busy):
            return
        await events.fact(Idle, since=since, timeout_s=REST_LIMIT_S)
