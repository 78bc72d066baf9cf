"""A delegation while twenty others run, against the same OpenCode while it does nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from lab.bench import native
from lab.bench.calls import DELEGATE, TASK, play, round_of
from lab.bench.figures import Findings, compared, judged
from lab.bench.probed import NATIVE, WARM_UP, at_rest, calls, probed
from lab.harness.client import OpenCodeClient, StoredMessage
from lab.harness.dialect import dialect
from lab.harness.line import Line
from lab.model_server import ModelRequest, ModelServer, script

CHILDREN = 20

WRITES_S = 60.0
"""How long each child writes by itself, unless it is let go before; then it waits."""

PACE_MS = 250
"""Between two pieces of a child's text: 20 children bring 80 events per second."""

LIMIT_S = 120.0
"""What starting and ending twenty children may take on a slow machine."""

WORDS = "And so it goes on. "

CHILD = script(
    {"call": "nothing", "say": "First a look."},
    {
        "say": WORDS,
        "repeat": int(WRITES_S * 1000 / PACE_MS),
        "every_ms": PACE_MS,
        "gate": "enough",
    },
)


async def while_others_run(root: Path, rounds: int, line: Line) -> Findings:
    """Measure calls before, while and after twenty children write."""
    half = -(-rounds // 2)
    async with (
        ModelServer(dialect=dialect(line)) as model,
        probed(root, model, line, at_once=CHILDREN + 8, env=NATIVE) as opencode,
        opencode.client() as client,
    ):
        await _rounds(client, WARM_UP, DELEGATE, TASK)
        before = await _rounds(client, half, DELEGATE)
        supervisor = await client.create_session()
        await _begin(client, supervisor, model)
        busy = await _rounds(client, 2 * half, DELEGATE, TASK)
        for child in await client.busy() - {supervisor}:
            await client.abort(child)
        await _settled(client, supervisor)
        after = await _rounds(client, half, DELEGATE)
    delegate, task = calls(busy, "delegate"), calls(busy, native.tool(line))
    idle = calls([*before, *after], "delegate")
    return Findings(
        [
            judged("`delegate`, call, nothing else runs", idle),
            judged(f"`delegate`, call, {CHILDREN} children write", delegate),
            judged(f"{native.shown(line)}, call, {CHILDREN} children write", task),
        ],
        [
            compared(f"`delegate`, {CHILDREN} children write / idle", delegate, idle, most=2),
            compared(f"`delegate` / native, {CHILDREN} children write", delegate, task, most=0.3),
        ],
    )


async def _rounds(
    client: OpenCodeClient, count: int, *calls_of_each: Mapping[str, object]
) -> list[StoredMessage]:
    """Play rounds in a new session; return its messages."""
    session = await client.create_session()
    for _ in range(count):
        for call in calls_of_each:
            await play(client, session, round_of(call))
    return await client.messages(session)


async def _begin(client: OpenCodeClient, supervisor: str, model: ModelServer) -> None:
    prompts = [f"Go on, number {number}. {CHILD}" for number in range(CHILDREN)]
    tasks = [native.delegate(one) for one in prompts]
    begin = "Begin. " + script({"calls": tasks}, {"say": "All are off."})
    await client.run(supervisor, begin, timeout_s=LIMIT_S)
    await asyncio.gather(*(_writes(model, prompt) for prompt in prompts))


async def _writes(model: ModelServer, prompt: str) -> None:
    """Return once the child with this prompt has begun to write."""

    def begun(request: ModelRequest) -> bool:
        return WORDS in request.streamed and prompt in request.text

    await model.wait_for(begun, timeout_s=LIMIT_S)


async def _settled(client: OpenCodeClient, supervisor: str) -> None:
    """Return once the supervisor was told of every child and has nothing more to say."""
    async with client.events() as events:
        while True:
            since = events.mark()
            if await _told_of_all(client, supervisor):
                break
            await events.wait_idle(supervisor, since=since, timeout_s=LIMIT_S)
        await at_rest(client, events, supervisor)


async def _told_of_all(client: OpenCodeClient, supervisor: str) -> bool:
    text = "\n".join(one.text for one in await client.messages(supervisor))
    return text.count("<task-notification>") >= CHILDREN
