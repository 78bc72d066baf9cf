"""Looks at delegations: while fifty run, and after a hundred thousand have ended."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from background_agents.adapters.projects.identity import project_id
from background_agents.config import DATABASE
from background_agents.views import model as for_model
from lab.bench import native
from lab.bench.calls import NOTICED, play
from lab.bench.figures import Findings, compared, judged
from lab.bench.probed import WARM_UP, calls, probed
from lab.bench.stored import store
from lab.harness.client import OpenCodeClient, StoredMessage
from lab.harness.opencode import OpenCode
from lab.model_server import ModelServer, script

START_ALL_S = 120.0
"""What many children need until each has asked its model, on a slow machine."""

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

STORED = (0, 1_000, 100_000)

TOOLS = ("delegation_status", "delegation_list", "delegation_read", "delegation_peek")

RESULT = "This is the whole result. " * 40


async def while_many_run(root: Path, rounds: int) -> Findings:
    """Measure looks at what runs, each in a session of its own, so that none grows."""
    async with (
        ModelServer() as model,
        probed(root, model, at_once=ACTIVE) as opencode,
        opencode.client() as client,
    ):
        supervisor = await client.create_session()
        # OpenCode asks its user when a model makes the same call three times in a row.
        prompts = [f"Go on, number {number}. {BUSY_CHILD}" for number in range(ACTIVE)]
        tasks = [native.delegate(one) for one in prompts]
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
    nothing = calls(messages, "nothing")[WARM_UP:]
    found = Findings([judged(f"a tool that does nothing, call, {ACTIVE} active", nothing)])
    for tool in ("delegation_status", "delegation_peek"):
        took = calls(messages, tool)[WARM_UP:]
        found.figures.append(judged(f"`{tool}`, call, {ACTIVE} active", took, most=10))
    return found


def _told_of(status: str) -> int:
    """Return how many delegations a status tells of, those that it only counts included."""
    more = re.search(r"… and (\d+) more", status)
    return status.count("[running]") + (int(more.group(1)) if more else 0)


def _check_looks(messages: Sequence[StoredMessage]) -> None:
    """Raise unless every look saw what it was to see."""
    for tool, output in _outputs(messages):
        if tool == "delegation_status" and _told_of(output) != ACTIVE:
            raise AssertionError(f"not all were active:\n{output}")
        if tool == "delegation_peek" and "This is what I know so far." not in output:
            raise AssertionError(f"nothing was to be seen:\n{output}")


def _outputs(messages: Sequence[StoredMessage]) -> list[tuple[str, str]]:
    parts = [part for message in messages for part in message.parts if part.type == "tool"]
    return [(part.tool, part.output) for part in parts]


async def with_many_stored(root: Path, rounds: int, stored: Sequence[int] = STORED) -> Findings:
    """Measure looks by turns in OpenCodes whose projects hold more and more that has ended."""
    messages: dict[int, list[StoredMessage]] = {count: [] for count in stored}
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(ModelServer())
        looks = {}
        for count in stored:
            folder = root / str(count)
            opencode = await stack.enter_async_context(probed(folder, model))
            client = await stack.enter_async_context(opencode.client())
            looks[count] = (client, *await _prepared(opencode, client, model, count))
        for _ in range(WARM_UP + rounds):
            for count, (client, supervisor, script_of_look) in looks.items():
                session = await client.create_session(parent=supervisor)
                await client.run(session, script_of_look)
                messages[count] += await client.messages(session)
    return _of_stored(messages)


async def _prepared(
    opencode: OpenCode, client: OpenCodeClient, model: ModelServer, count: int
) -> tuple[str, str]:
    """Let one delegation end and one go on, and store ``count`` others; return how to look."""
    supervisor = await client.create_session()
    gate = f"held {count}"
    names = []
    for steps in ({"say": RESULT}, {"say": "So far so good.", "gate": gate}):
        prompt = f"Look into it. {script(steps)}"
        steps_above = (native.delegate(prompt), {"say": "{id} is off."})
        begin = f"Begin. {script(*steps_above, on_notice=[NOTICED])}"
        if "gate" in steps:
            await client.run(supervisor, begin)
            await model.wait_held(gate, timeout_s=START_ALL_S)
        else:
            await play(client, supervisor, begin)
        said = [
            one.text for one in await client.messages(supervisor) if one.info.role == "assistant"
        ]
        names.append(next(text.split()[0] for text in reversed(said) if text.endswith("is off.")))
    project = opencode.home.project
    root = opencode.home.data / "delegations"
    database = root / await asyncio.to_thread(project_id, project, root) / DATABASE
    await asyncio.to_thread(store, database, supervisor, count, directory=str(project))
    ended, active = names
    return supervisor, "Look. " + script(
        {"call": "nothing"},
        {"call": "delegation_status"},
        {"call": "delegation_list"},
        {"call": "delegation_read", "args": {"id": ended}},
        {"call": "delegation_peek", "args": {"id": active}},
        {"say": "I see."},
    )


def _of_stored(messages: Mapping[int, Sequence[StoredMessage]]) -> Findings:
    found = Findings()
    least, most = min(messages), max(messages)
    for tool in TOOLS:
        took = {count: calls(of, tool)[WARM_UP:] for count, of in messages.items()}
        for count, ms in took.items():
            found.figures.append(judged(f"`{tool}`, call, {count:,} stored", ms, most=10))
        name = f"`{tool}`, {most:,} stored / {least:,} stored"
        found.ratios.append(compared(name, took[most], took[least], most=1.5))
    lists = [output for tool, output in _outputs(messages[most]) if tool == "delegation_list"]
    _check_stored(messages, lists)
    name = f"text of `delegation_list`, {most:,} stored"
    sizes = [float(len(text)) for text in lists]
    found.figures.append(judged(name, sizes, "characters", most=for_model.LIST_CHARS))
    return found


def _check_stored(messages: Mapping[int, Sequence[StoredMessage]], lists: Sequence[str]) -> None:
    """Raise unless the tools answered what they were asked."""
    expected = {
        "delegation_status": "[running]",
        "delegation_read": RESULT.strip(),
        "delegation_peek": "So far so good.",
    }
    for tool, output in (pair for of in messages.values() for pair in _outputs(of)):
        if expected.get(tool, "") not in output:
            raise AssertionError(f"{tool} answered:\n{output}")
    for text in lists:
        if "newest first" not in text or "older. Each is a markdown file" not in text:
            raise AssertionError(f"a list that does not say how to go on:\n{text}")
