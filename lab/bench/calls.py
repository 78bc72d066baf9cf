"""One delegation after the other: the call, and the way of its notice, against what there is.

Each round does the same in three ways, in one session: our ``delegate``, OpenCode's own
subagent in the background, and a bare launch over the API.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from lab.bench import native
from lab.bench.figures import Findings, compared, judged
from lab.bench.probed import NATIVE, WARM_UP, at_rest, calls, probed, stamps, ways
from lab.harness.client import OpenCodeClient, StoredMessage
from lab.harness.client.events import TextEnded
from lab.harness.dialect import dialect
from lab.harness.line import Line
from lab.model_server import ModelServer, script

CHILD = "Look it up. " + script({"say": "Here is what I found."})

NOTHING: Mapping[str, object] = {"call": "nothing"}

WAITING: Mapping[str, object] = {"call": "waiting"}

DELEGATE = native.delegate(CHILD)

TASK = native.task(CHILD)

CROSSINGS = 200

STORE = {Line.ONE: "`prompt_async`", Line.TWO: "`synthetic`"}
"""The request that stores a message without waking anybody."""

NOTICED: Mapping[str, object] = {"say": "Noticed."}


def round_of(call: Mapping[str, object]) -> str:
    """Return the prompt of one round: two calls to compare with, and the one that delegates."""
    return "Go on. " + script(NOTHING, WAITING, call, {"say": "Delegated."}, on_notice=[NOTICED])


async def play(client: OpenCodeClient, session: str, prompt: str) -> None:
    """Play one delegation, from its request to the answer to its notice."""
    async with client.events() as events:
        await client.prompt(session, prompt)
        await events.fact(TextEnded, lambda one: one.text == "Noticed.")
        await at_rest(client, events, session)


async def bare_launch(client: OpenCodeClient, line: Line) -> float:
    """Launch a child over the API; return milliseconds, once the child has ended."""
    async with client.events() as events:
        started = time.perf_counter()
        session = await native.launch(client, line, CHILD)
        took = (time.perf_counter() - started) * 1000
        await events.wait_idle(session)
    return took


async def delegate_and_notice(root: Path, rounds: int, line: Line) -> Findings:
    """Measure calls and notices on an OpenCode that does nothing else."""
    async with (
        ModelServer(dialect=dialect(line)) as model,
        probed(root, model, line, env=NATIVE) as opencode,
        opencode.client() as client,
    ):
        session = await client.create_session()
        launches = []
        for _ in range(WARM_UP + rounds):
            await play(client, session, round_of(DELEGATE))
            await play(client, session, round_of(TASK))
            launches.append(await bare_launch(client, line))
        messages = await client.messages(session)
    found = ways(stamps(root), session)
    theirs = [one.took_ms for one in found if one.is_native][WARM_UP:]
    ours = [one.took_ms for one in found if not one.is_native][WARM_UP:]
    figures = [
        judged("child idle → notice in parent", ours, most=20),
        judged("the same, native", theirs),
    ]
    ratios = [compared("notice / native notice", ours, theirs, most=2)]
    return _of_calls(messages, launches[WARM_UP:], line) + Findings(figures, ratios)


def _of_calls(messages: Sequence[StoredMessage], launches: Sequence[float], line: Line) -> Findings:
    # Of each two rounds the first is ours.
    nothing, waiting = (calls(messages, one)[2 * WARM_UP :: 2] for one in ("nothing", "waiting"))
    delegate, task = (calls(messages, tool)[WARM_UP:] for tool in ("delegate", native.tool(line)))
    return Findings(
        [
            judged("a tool that does nothing, call", nothing),
            judged("a tool that waits 2.5 ms, call", waiting),
            judged("`delegate`, call", delegate, most=6, p95_most=20),
            judged(f"{native.shown(line)}, call", task),
            judged(f"bare API: {native.LAUNCH[line]}", launches),
        ],
        [
            compared("`delegate` / a tool that does nothing", delegate, nothing, most=2),
            compared("`delegate` / a tool that waits 2.5 ms", delegate, waiting, most=1.3),
            compared(f"`delegate` / {native.shown(line)}", delegate, task, most=0.3),
            compared("`delegate` / bare API", delegate, launches),
        ],
    )


class _Took(msgspec.Struct):
    took_ms: list[float]
    answer: str


async def inside(root: Path, rounds: int, line: Line) -> Findings:
    """Measure from inside OpenCode's process: calls over the bridge, and OpenCode's own part."""
    over_bridge = {
        "a call that is refused": ("delegation_peek", {"id": "?"}),
        "`delegation_list` of nothing": ("delegation_list", {}),
    }
    found = Findings()
    async with (
        ModelServer(dialect=dialect(line)) as model,
        probed(root, model, line) as opencode,
        opencode.client() as client,
    ):
        session = await client.create_session()
        for name, (tool, args) in over_bridge.items():
            given = {"tool": tool, "args": args, "count": CROSSINGS + rounds}
            took = await _timed(client, session, "crossings", given)
            case = f"bridge round trip, {name}"
            found.figures.append(judged(case, took[CROSSINGS // 4 :], most=0.5))
        took = await _timed(client, session, "storing", {"count": WARM_UP + rounds})
        case = f"{STORE[line]} inside OpenCode → message stored, nothing else running"
        found.figures.append(judged(case, took[WARM_UP:]))
    return found


async def _timed(
    client: OpenCodeClient, session: str, tool: str, args: dict[str, object]
) -> list[float]:
    """Have the probe measure, and return its samples."""
    await client.run(session, "Go. " + script({"call": tool, "args": args}))
    output = next(
        part.output
        for message in reversed(await client.messages(session))
        for part in message.parts
        if part.tool == tool
    )
    return msgspec.json.decode(output, type=_Took).took_ms
