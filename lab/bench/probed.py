"""An OpenCode with the benchmark's probe in it, and what the probe and the messages tell."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import msgspec

from background_agents.testing.scripts import NATIVE_NOTICES, NOTICE
from lab.harness.client import Events, OpenCodeClient, StoredMessage
from lab.harness.client.events import Idle
from lab.harness.home import Home, find_binary
from lab.harness.line import Line
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
    type: Literal["idle", "told"]
    """A session has come to its end, or a message for it was stored."""
    session: str
    text: str = ""
    """How the message begins."""


class Way(msgspec.Struct):
    """How long it took from a child's idle to the news of it in its parent."""

    is_native: bool
    took_ms: float


@asynccontextmanager
async def probed(
    root: Path,
    model: ModelServer,
    line: Line = Line.ONE,
    *,
    plugin: bool = True,
    at_once: int = 8,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[OpenCode]:
    """Run OpenCode with the probe, and with or without our plugin."""
    await asyncio.to_thread(_install_probe, Home(root, find_binary(line).version))
    given = {
        "PROBE_FILE": str(stamps_file(root)),
        "BACKGROUND_AGENTS_MAX_CONCURRENT": str(at_once),
        **(env or {}),
    }
    async with running_opencode(root, model.base_url, line, plugin=plugin, env=given) as opencode:
        yield opencode


def _install_probe(home: Home) -> None:
    folder = home.config / "plugin"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "probe.js").write_text(f"export {{ default }} from {json.dumps(str(PROBE))}\n")


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
    """Return the time from each child's idle to the notice of it in its parent."""
    found: list[Way] = []
    idle: Stamp | None = None
    for stamp in seen:
        if stamp.type == "idle" and stamp.session != parent:
            idle = stamp
        elif stamp.type == "told" and stamp.session == parent:
            is_native = stamp.text.startswith(NATIVE_NOTICES)
            if idle is not None and (is_native or stamp.text.startswith(NOTICE)):
                found.append(Way(is_native, stamp.at_ms - idle.at_ms))
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
