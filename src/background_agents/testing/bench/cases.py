"""The measured cases. Those that are compared run in one session, interleaved."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from background_agents.adapters.sqlite.store import SqliteStore
from background_agents.domain import events as ev
from background_agents.domain.delegation import apply
from background_agents.ports import Change
from background_agents.service import views
from background_agents.testing.bench.figures import Figure, judged
from background_agents.testing.model_server import ModelServer, script
from background_agents.testing.opencode import OpenCode, running_opencode
from background_agents.testing.opencode_client import OpenCodeClient, StoredMessage

PROBE = Path(__file__).with_name("probe.js")

WARM_UP = 5
"""Rounds that are not counted: OpenCode's first calls load code."""

START_ALL_S = 120.0
"""What many children need until each has asked its model, on a slow machine."""

CHILD = "Look it up. " + script({"say": "Here is what I found."})

ROUND = "Go on. " + script(
    {"call": "nothing"},
    {"call": "delegate", "args": {"prompt": CHILD, "agent": "general"}},
    {"say": "Delegated."},
    on_notice=[{"say": "Noticed."}],
)

ACTIVE = 50
"""Far more at once than anybody watches; the limit of the targets."""

BUSY_CHILD = script(
    {"call": "nothing", "say": "First a look."},
    {"say": "This is what I know so far. ", "repeat": 200, "per_chunk": 20, "gate": "active"},
)

LOOK = "Look. " + script(
    {"call": "nothing"},
    {"call": "delegation_status"},
    {"call": "delegation_peek", "args": {"id": "{id}"}},
    {"say": "I see."},
)


class Stamp(msgspec.Struct):
    """A moment that the probe saw inside OpenCode, in milliseconds since its start."""

    at_ms: float
    type: str
    session: str | None = None
    message: str | None = None
    role: str | None = None


@asynccontextmanager
async def _opencode(
    root: Path, model: ModelServer, *, plugin: bool, at_once: int = 8
) -> AsyncIterator[OpenCode]:
    config = {"plugin": [PROBE.as_uri()]}
    env = {"PROBE_FILE": f"{root}.jsonl", "BACKGROUND_AGENTS_MAX_CONCURRENT": str(at_once)}
    async with running_opencode(
        root, model.base_url, plugin=plugin, config=config, env=env
    ) as opencode:
        yield opencode


async def delegate_and_notice(root: Path, rounds: int) -> list[Figure]:
    """One delegation after the other: the calls, and the way of each notice."""
    async with (
        ModelServer() as model,
        _opencode(root, model, plugin=True) as opencode,
        opencode.client() as client,
    ):
        session = await client.create_session()
        for _ in range(WARM_UP + rounds):
            await _round(client, session)
        messages = await client.messages(session)
        launches = [await _bare_launch(client) for _ in range(WARM_UP + rounds)]
    stamps = _stamps(Path(f"{root}.jsonl"))
    return [
        judged("a tool that does nothing, call", _calls(messages, "nothing")),
        judged("`delegate`, call", _calls(messages, "delegate"), median_ms=6, p95_ms=20),
        judged("bare API: `POST /session` + `prompt_async`", launches[WARM_UP:]),
        judged("child idle → notice in parent", _ways(stamps, session), median_ms=20),
    ]


async def _round(client: OpenCodeClient, session: str) -> None:
    """One delegation, from its request to the answer to its notice."""
    async with client.events() as events:
        await client.prompt(session, ROUND)
        await events.wait_for(
            lambda seen: (
                seen.type == "message.part.updated" and "'text': 'Noticed.'" in str(seen.properties)
            )
        )
        await events.wait_idle(session)


async def _bare_launch(client: OpenCodeClient) -> float:
    """Launch a child without the plugin; return milliseconds."""
    started = time.perf_counter()
    async with client.events() as events:
        started = time.perf_counter()
        session = await client.create_session()
        await client.prompt(session, CHILD)
        took = (time.perf_counter() - started) * 1000
        await events.wait_idle(session)
    return took


def _calls(messages: Sequence[StoredMessage], tool: str) -> list[float]:
    """Return how long each call of a tool took, by OpenCode's own clock (whole ms)."""
    took = []
    for message in messages:
        for part in message.parts:
            if part.type == "tool" and part.tool == tool:
                times = msgspec.convert(part.state["time"], dict[str, float])
                took.append(times["end"] - times["start"])
    return took[WARM_UP:]


def _ways(stamps: Sequence[Stamp], parent: str) -> list[float]:
    """Return the time from each child's idle to the parent's next user message."""
    ways, idle = [], None
    seen: set[str | None] = set()
    for stamp in stamps:
        if stamp.type == "session.idle" and stamp.session != parent:
            idle = stamp.at_ms
        elif stamp.role == "user" and stamp.session == parent and stamp.message not in seen:
            seen.add(stamp.message)
            if idle is not None:
                ways.append(stamp.at_ms - idle)
                idle = None
    return ways[WARM_UP:]


def _stamps(path: Path) -> list[Stamp]:
    return [msgspec.json.decode(line, type=Stamp) for line in path.read_bytes().splitlines()]


async def looking(root: Path, rounds: int) -> list[Figure]:
    """Looks at what runs, while much does: each in a session of its own, so that none grows."""
    async with (
        ModelServer() as model,
        _opencode(root, model, plugin=True, at_once=ACTIVE) as opencode,
        opencode.client() as client,
    ):
        supervisor = await client.create_session()
        # OpenCode asks its user when a model makes the same call three times in a row.
        prompts = [f"Go on, number {number}. {BUSY_CHILD}" for number in range(ACTIVE)]
        tasks = [
            {"call": "delegate", "args": {"prompt": one, "agent": "general"}} for one in prompts
        ]
        begin = script({"calls": tasks}, {"say": "All are off."})
        await client.run(supervisor, "Begin. " + begin, timeout_s=START_ALL_S)
        await model.wait_held("active", ACTIVE, timeout_s=START_ALL_S)
        messages: list[StoredMessage] = []
        for _ in range(WARM_UP + rounds):
            # Below the supervisor's session the same delegations are to be seen.
            session = await client.create_session(parent=supervisor)
            await client.run(session, LOOK)
            messages += await client.messages(session)
    _check_looks(messages)
    return [
        judged(f"a tool that does nothing, call, {ACTIVE} active", _calls(messages, "nothing")),
        *(
            judged(f"`{tool}`, call, {ACTIVE} active", _calls(messages, tool), median_ms=10)
            for tool in ("delegation_status", "delegation_peek")
        ),
    ]


def _told_of(status: str) -> int:
    """Return how many delegations a status tells of, those that it only counts included."""
    more = re.search(r"… and (\d+) more", status)
    return status.count("[running]") + (int(more.group(1)) if more else 0)


def _check_looks(messages: Sequence[StoredMessage]) -> None:
    """Raise unless every look saw what it was to see."""
    parts = [part for message in messages for part in message.parts if part.type == "tool"]
    for part in parts:
        output = str(part.state.get("output"))
        if part.tool == "delegation_status" and _told_of(output) != ACTIVE:
            raise AssertionError(f"not all were active:\n{output}")
        if part.tool == "delegation_peek" and "This is what I know so far." not in output:
            raise AssertionError(f"nothing was to be seen:\n{output}")


async def start(root: Path, rounds: int) -> list[Figure]:
    """OpenCode from its start to the first answer, with and without the plugin by turns."""
    took: dict[bool, list[float]] = {True: [], False: []}
    async with ModelServer() as model:
        for number in range(rounds + 1):
            for plugin in (False, True):
                folder = root / f"{number}-{plugin}"
                took[plugin].append(await _first_answer(folder, model, plugin))
    return [
        judged("start → first answer, without plugin", took[False][1:]),
        judged("start → first answer, with plugin", took[True][1:]),
    ]


async def _first_answer(root: Path, model: ModelServer, plugin: bool) -> float:
    """Start OpenCode twice on one home; return the second start, since users have a home."""
    async with _opencode(root, model, plugin=plugin) as opencode:
        await _answer(opencode)
        await opencode.end()
        started = time.perf_counter()
        await opencode.start()
        await _answer(opencode)
        return (time.perf_counter() - started) * 1000


async def _answer(opencode: OpenCode) -> None:
    async with opencode.client() as client:
        session = await client.create_session()
        await client.run(session, "Say it. " + script({"say": "It."}))


async def listing(root: Path, rounds: int, stored: int = 10_000) -> list[Figure]:
    """A list over many stored delegations, as its tool makes it."""
    store = await SqliteStore.open(root / "delegations.db")
    try:
        await asyncio.gather(*(_store_one(store, number) for number in range(stored)))
        took = []
        for _ in range(rounds):
            started = time.perf_counter()
            lines, total = await store.page("ses_root", views.LIST_LINES)
            now = datetime.now(UTC)
            text = views.listing(views.Listing(lines, total, root, now))
            took.append((time.perf_counter() - started) * 1000)
            if len(text) > views.LIST_CHARS:
                raise AssertionError(f"a list of {len(text)} characters")
    finally:
        await store.close()
    return [judged(f"`delegation_list` over {stored:,} stored", took, median_ms=10)]


async def _store_one(store: SqliteStore, number: int) -> None:
    now = datetime.now(UTC) + timedelta(milliseconds=number)
    registered = ev.Registered(
        at=now,
        id=f"brave-amber-otter-{number}",
        project="bench",
        directory="/bench",
        root_session="ses_root",
        parent_session="ses_root",
        prompt="Find out. " * 50,
        agent="general",
        title="A title of about the usual length, more or less",
        owner="1:1",
    )
    delegation = await store.register(registered)
    stopped = ev.Stopped(at=now, summary="A summary of the usual length. " * 5, error="bench")
    await store.commit(Change(after=apply(delegation, stopped), events=(stopped,)))
