"""The same failpoints in the service of a real OpenCode, and OpenCode itself killed.

The bridge spawns the armed service as it spawns the one that ships, and starts it again as
it always does. A scripted model delegates, and looks before it delegates again.
"""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from background_agents.config import DATABASE
from background_agents.domain.status import Status
from lab.faults.matrix import Case
from lab.faults.points import KILLED, lives, pids
from lab.faults.stage import ENDING, LISTED
from lab.faults.table import REAL
from lab.faults.verdict import Verdict, evidence, judge_dead, judge_ended
from lab.harness.bridge import BRIDGE
from lab.harness.client import Events, OpenCodeClient
from lab.harness.client.events import TextStored
from lab.harness.dialect import dialect
from lab.harness.home import Home, find_binary
from lab.harness.line import Line
from lab.harness.opencode import OpenCode
from lab.model_server import ModelServer, script

AT_ONCE = 2
"""Each OpenCode keeps about one core busy."""

KILLS_EACH = 14
"""An OpenCode takes some seconds of a core to start. A point that a life does not reach a second
time keeps those after it from their turn."""

BACKOFF_MS = 250
"""What the bridge waits before the first restart."""

SOME = 4
"""``fewer`` takes one in so many of the points that do not lie around the end."""

Choice = Callable[[Sequence[str]], Sequence[str]]
"""Chooses among the points of a run."""

Expected = Callable[[str], tuple[frozenset[Status], int]]
"""Says of a supervisor how its delegations may have ended, and how many it has."""

TURNS = 20
"""A turn takes a fifth of a second, and the longest back-off here two seconds."""

TOLD_LIMIT_S = 90.0
"""As many services as a plan has may die, one after the other, before an ending is told."""

LOOKS, LOOK_EVERY_S = 200, 0.05
"""A receipt is stored within milliseconds of the notice, a title written within a second."""

ENDED = re.compile(ENDING + r"\s*<task-id>([^<]+)</task-id>")
"""Names what has ended, in a text that may tell of several."""

DOWN = "is not running"
"""What a tool answers while the service is dead."""

SHIM = """
import {{ plugin }} from {bridge}
import {{ Service }} from {service}
import {{ readFileSync, writeFileSync }} from "node:fs"
// Answers some requests of the service in OpenCode's place, as `shaky` says.
const shaky = (fetch) => async (request) => {{
  let rule = {{}}
  try {{ rule = JSON.parse(readFileSync({shaky}, "utf8")) }} catch {{ }}
  const fits = request.method === "POST" && request.path.split("?")[0].endsWith(rule.path)
  if (!(rule.times > 0) || !fits) return fetch(request)
  writeFileSync({shaky}, JSON.stringify({{ ...rule, times: rule.times - 1 }}))
  if (rule.arrives) await fetch(request)
  return new Response("scripted failure", {{ status: rule.status }})
}}
class Shaky extends Service {{
  attach(directory, fetch) {{ return super.attach(directory, shaky(fetch)) }}
  // It would wait twice as long before each further restart.
  start() {{ super.start(); this.backoff = {backoff_ms} }}
}}
const options = {{ command: {command} }}
// Where the bridge looks for the service of this process, whichever line it is loaded by.
globalThis[Symbol.for("background-agents.service")] ??= new Shaky(options)
export default plugin(options)
"""


@dataclass
class Theatre:
    """A real OpenCode whose services follow a plan, and its model."""

    root: Path
    opencode: OpenCode
    model: ModelServer
    client: OpenCodeClient
    events: Events
    played: list[str] = field(default_factory=list)
    """The supervisors' sessions."""

    @property
    def line(self) -> Line:
        return self.opencode.line

    @property
    def plan(self) -> Path:
        return self.root / "plan"

    def shake(self, path: str, status: int, times: int, *, arrives: bool = False) -> None:
        """Let the next POSTs to a path be answered with an error; they may arrive all the same."""
        rule = {"path": path, "status": status, "times": times, "arrives": arrives}
        (self.root / "shaky.json").write_text(json.dumps(rule), "utf-8")

    async def delegate(self, *steps: dict[str, object], **args: object) -> str:
        """Let a new supervisor delegate, and return its session once that took effect."""
        supervisor = await self.client.create_session()
        self.played.append(supervisor)
        child = f"Work.\n{script(*steps)}"
        given: dict[str, object] = {"prompt": child, "agent": "general", **args}
        call: dict[str, object] = {"call": "delegate", "args": given}
        for _ in range(TURNS):
            await self.turn(supervisor, call, on_notice=True)
            if await self.listed(supervisor):
                return supervisor
        raise AssertionError(f"{supervisor} could not delegate")

    async def listed(self, supervisor: str) -> list[str]:
        """Return the delegations of a supervisor, as soon as a service says which there are."""
        for _ in range(TURNS):
            await self.turn(supervisor, {"call": "delegation_list"})
            answer = await self._newest_output(supervisor, "delegation_list")
            if answer and DOWN not in answer:
                return LISTED.findall(answer)
        raise AssertionError(f"no service answers: {answer}")

    async def turn(
        self, supervisor: str, *steps: dict[str, object], on_notice: bool = False
    ) -> None:
        """Send the user's next message and wait until the session is idle."""
        mark = self.events.mark()
        noted: list[dict[str, object]] = [{"say": "Noted."}]
        text = script(*steps, {"say": "Well."}, on_notice=noted)
        await self.client.prompt(supervisor, f"{supervisor} {text}")
        await self.events.wait_idle(supervisor, since=mark)

    async def told(self, supervisor: str, count: int = 1) -> None:
        """Return once so many endings are in a supervisor's transcript."""
        # Those that came before the events were followed.
        ids = set(await self.endings(supervisor))
        if len(ids) >= count:
            return

        def is_told(one: TextStored) -> bool:
            if one.session == supervisor:
                ids.update(ENDED.findall(one.text))
            return len(ids) >= count

        await self.events.fact(TextStored, is_told, timeout_s=TOLD_LIMIT_S)

    async def endings(self, supervisor: str) -> list[str]:
        """Return the delegation of each notice of an ending, as OpenCode has stored them."""
        # In this order, since what waits may be taken up between the two looks.
        waiting = await self.client.pending(supervisor)
        stored = [*waiting, *await self.client.messages(supervisor)]
        once = {one.info.id: one for one in stored}.values()
        return [name for one in once for part in one.parts for name in ENDED.findall(part.text)]

    async def settled(self) -> None:
        """Return once the outbox is empty. There is no event for another process's commit."""
        for _ in range(LOOKS):
            if not self._due():
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def left_running(self) -> set[str]:
        """Return the children that do not come to rest; a title is written after the notice."""
        children: set[str] = set()
        for _ in range(LOOKS):
            # A notice wakes its supervisor, who may well work.
            children = await self.client.busy() - set(self.played)
            if not children:
                break
            await asyncio.sleep(LOOK_EVERY_S)
        return children

    def _due(self) -> int:
        (database,) = (self.opencode.home.data / "delegations").glob(f"*/{DATABASE}")
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM notices WHERE due").fetchone()[0])

    async def _newest_output(self, session: str, tool: str) -> str:
        parts = [part for one in await self.client.messages(session) for part in one.parts]
        found = [one.output for one in parts if one.tool == tool]
        return found[-1] if found else ""


@asynccontextmanager
async def theatre(root: Path, line: Line, plan: Sequence[str]) -> AsyncIterator[Theatre]:
    """Run an OpenCode on a new home, whose services follow ``plan``; end all of it."""
    binary = find_binary(line)
    home = Home(root / "opencode", binary.version)
    async with ModelServer(dialect=dialect(line)) as model:
        await asyncio.to_thread(home.create, model.base_url)
        _install(home, root, plan)
        opencode = OpenCode(binary, home)
        await opencode.start()
        try:
            async with opencode.client() as client, client.events() as events:
                yield Theatre(root, opencode, model, client, events)
        except BaseException as error:
            error.add_note(f"Plan: {plan}. OpenCode's log ends with:\n{opencode.log_tail()}")
            raise
        finally:
            await opencode.end()


@asynccontextmanager
async def reopened(stage: Theatre) -> AsyncIterator[Theatre]:
    """Start a killed OpenCode again, as its user does, and open the project."""
    await stage.opencode.start()
    async with looked_at(stage) as again:
        yield again


@asynccontextmanager
async def looked_at(stage: Theatre) -> AsyncIterator[Theatre]:
    """Follow the OpenCode that runs now, which may be another one than before."""
    async with stage.opencode.client() as client, client.events() as events:
        yield Theatre(stage.root, stage.opencode, stage.model, client, events, stage.played)


async def verdict_of(stage: Theatre, due: Expected) -> Verdict:
    """End OpenCode and check every supervisor's delegations, and the processes."""
    await stage.settled()
    told = {one: await stage.endings(one) for one in stage.played}
    verdict = Verdict()
    verdict.zombies += [f"{one} still works" for one in await stage.left_running()]
    # Later it would be the system's first process that has to notice, and in a container
    # often nobody is there.
    judge_dead(verdict, pids(stage.plan))
    await stage.opencode.end()
    async with evidence(stage.opencode.home.data / "delegations") as found:
        for supervisor, names in told.items():
            verdict.add(await found.judge(supervisor, names, *due(supervisor)))
        verdict.zombies += await found.due()
    await judge_ended(verdict, pids(stage.plan))
    return verdict


async def judged(case: Case, stage: Theatre, due: Expected) -> None:
    """End OpenCode and judge what a case has left behind."""
    case.verdict.add(await verdict_of(stage, due))
    case.lives = lives(stage.plan)
    case.kills += sum(life[-1:] == [KILLED] for life in case.lives)


def title_of(line: Line) -> str:
    """Return what tables call a real OpenCode of a line."""
    return f"{REAL} {line}"


async def kill_at(line: Line, plan: Sequence[str]) -> Case:
    """Let supervisors delegate until every line of the plan has had its service."""
    case, begun = Case(title_of(line), tuple(plan)), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        async with theatre(Path(name), line, plan) as stage:
            for _ in range(len(plan) + 1):
                supervisor = await stage.delegate({"say": "Found it."})
                await stage.told(supervisor)
                await stage.listed(supervisor)
                if len(pids(stage.plan)) > len(plan):
                    break  # the life that runs now is armed no more
            await judged(case, stage, lambda _: (frozenset({Status.COMPLETED}), 1))
    case.seconds = time.monotonic() - begun
    return case


def around_the_end(points: Sequence[str]) -> Sequence[str]:
    """Return the points from the writing of the result to the receipt of its notice."""
    begins = next(at for at, point in enumerate(points) if point.startswith("artifacts.write("))
    ends = max(at for at, point in enumerate(points) if point.startswith("store.settle("))
    return points[begins : ends + 1]


def fewer(points: Sequence[str]) -> Sequence[str]:
    """Return the points around the end, and some of the others."""
    end = around_the_end(points)
    return [*[point for point in points if point not in end][::SOME], *end]


def every(points: Sequence[str]) -> Sequence[str]:
    """Return all of them."""
    return points


async def run_points(line: Line, chosen: Choice = every) -> list[Case]:
    """Kill a service of a real OpenCode at its points, or at those that are chosen of them."""
    whole = await kill_at(line, [])
    points = chosen(whole.lives[0])
    plans = [points[at : at + KILLS_EACH] for at in range(0, len(points), KILLS_EACH)]
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(plan: Sequence[str]) -> Case:
        async with limit:
            return await kill_at(line, plan)

    return [whole, *await asyncio.gather(*map(one, plans))]


def _install(home: Home, root: Path, plan: Sequence[str]) -> None:
    (root / "plan").write_text("\n".join(plan), "utf-8")
    module = "lab.faults.service"
    command = [sys.executable, "-m", module, str(root / "plan"), "bridge"]
    folder = home.config / "plugin"
    folder.mkdir(parents=True, exist_ok=True)
    shim = SHIM.format(
        bridge=json.dumps(str(BRIDGE)),
        service=json.dumps(str(BRIDGE.with_name("service.js"))),
        command=json.dumps(command),
        shaky=json.dumps(str(root / "shaky.json")),
        backoff_ms=BACKOFF_MS,
    )
    (folder / "armed.js").write_text(shim, "utf-8")
