"""Many at once: limits hold, order is kept, and the supervisor stays as its user set it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from plays import Notice, Stage, Step, Supervisor, call, delegate, say, staged, together

from background_agents.testing.scripts import READABLE_ID
from lab.harness.client import Seen
from lab.harness.client.events import Named
from lab.harness.line import Line
from lab.model_server import ModelRequest, script

pytestmark = pytest.mark.opencode

CROWD = 30

SOME_TIME_S = 90.0
"""For what takes thirty children a few seconds, on a machine that does other things too."""

CAREFUL: Mapping[str, object] = {
    "agent": {"careful": {"mode": "primary", "prompt": "You are the careful one."}},
    "provider": {
        "scripted": {"models": {"two": {"variants": {"high": {"reasoningEffort": "high"}}}}}
    },
}
"""An agent and a variant of a model that nobody gets without choosing them."""

GROUPS = (1, 1, 1, 2, 1, 3, 1, 5, 1, 4)
"""How many of twenty children end together, one group after the other."""


def children(stage: Stage, beginning: str, count: int) -> list[ModelRequest]:
    """Return the requests of ``count`` children, of which each makes one."""
    asked = stage.asked(beginning)
    assert len(asked) == count
    return asked


def at_once(requests: Sequence[ModelRequest]) -> int:
    """Return how many of the requests, at most, were being answered at one moment."""
    starts = [request.started_s for request in requests]
    return max(sum(overlap(request, start) for request in requests) for start in starts)


def overlap(request: ModelRequest, moment_s: float) -> bool:
    assert request.ended_s is not None
    return request.started_s <= moment_s < request.ended_s


def launched(stage: Stage) -> list[str]:
    """Return the delegations in the order in which OpenCode made their sessions."""
    titles = {one.session: one.title for one in stage.events.facts(Named)}
    names = {
        session: title.partition(" · ")[2]
        for session, title in titles.items()
        if title.startswith("general · ")
    }
    # OpenCode 2 names a session only after it has made it.
    made = [one for seen in stage.events.seen for one in (seen.session, *_sessions(seen))]
    return [names[one] for one in dict.fromkeys(made) if one in names]


def _sessions(seen: Seen) -> list[str]:
    return [fact.session for fact in seen.facts]


def said_complete(notices: Sequence[Notice]) -> list[bool]:
    return ["all-complete" in notice.fields for notice in notices]


@pytest.mark.only("2", why="on OpenCode 1 ten are told in test_delegation")
async def test_thirty_run_four_at_a_time_in_their_order(tmp_path: Path, line: Line) -> None:
    """The limit holds, the queue is kept, and every one of them is told of, to the last."""
    async with staged(tmp_path, line, env={"BACKGROUND_AGENTS_MAX_CONCURRENT": "4"}) as stage:
        supervisor = await stage.supervisor()
        answer = {"repeat": 3, "every_ms": 20, "gate": "crowd"}
        tasks = [delegate(f"Crowd {n:02}.", say(f"Result {n}. ", **answer)) for n in range(CROWD)]
        await supervisor.turn(
            together(*tasks), call("delegation_list"), say("Off."), on_notice=[say("Seen.")]
        )
        await stage.model.wait_held("crowd", 4)
        (listed,) = await supervisor.outputs("delegation_list")
        stage.model.open("crowd")
        notices = await supervisor.settled(CROWD, timeout_s=SOME_TIME_S)

        registered = [_id(line) for line in reversed(listed.splitlines()) if line.startswith("- ")]
        assert sorted(registered) == sorted(await supervisor.delegated(CROWD))
        assert listed.count("[registered]") >= CROWD - 4
        began = launched(stage)
        assert sorted(began) == sorted(registered)
        # Requests that are made at one moment may cross on their way.
        assert all(abs(began.index(one) - at) < 4 for at, one in enumerate(registered))
        assert at_once(children(stage, "Crowd", CROWD)) == 4
        assert sorted(notice.id for notice in notices) == sorted(registered)
        assert {notice.fields["status"] for notice in notices} == {"completed"}
        assert_counts_down(notices)


def assert_counts_down(notices: Sequence[Notice]) -> None:
    """Each message says how many still run; exactly the last message says that all is done."""
    remaining = [int(notice.fields["remaining"]) for notice in notices]
    assert remaining == sorted(remaining, reverse=True)
    assert CROWD > remaining[0] > remaining[-1] == 0
    in_last = [notice.message == notices[-1].message for notice in notices]
    assert said_complete(notices) == in_last
    assert [count == 0 for count in remaining] == in_last


def _id(line: str) -> str:
    found = READABLE_ID.search(line)
    assert found is not None, line
    return found.group()


@pytest.mark.only(
    "1", why="what a notice leaves alone is seen on both in test_delegation_supervisor"
)
async def test_twenty_notices_leave_agent_model_and_variant(tmp_path: Path, line: Line) -> None:
    """The supervisor's agent, model and variant stay what the user had chosen, to the end."""
    count = sum(GROUPS)
    async with staged(
        tmp_path, line, config=CAREFUL, env={"BACKGROUND_AGENTS_MAX_CONCURRENT": str(count)}
    ) as stage:
        supervisor = await stage.supervisor()
        await supervisor.turn(say("Hello."))
        defaults = len(supervisor.requests)
        gates = [f"group {number}" for number, size in enumerate(GROUPS) for _ in range(size)]
        tasks = [delegate(f"Twenty {n}.", say("Done.", gate=g)) for n, g in enumerate(gates)]
        await _choose(supervisor, together(*tasks), say("Off."), on_notice=[say("Fine.")])
        for number, size in enumerate(GROUPS):
            await stage.model.wait_held(f"group {number}", size)
        for number in range(len(GROUPS)):
            stage.model.open(f"group {number}")
            await supervisor.settled(sum(GROUPS[: number + 1]))

        assert len(await supervisor.stored_notices()) == count
        asked = supervisor.requests[defaults:]
        assert len(asked) > len(GROUPS)
        assert {request.model for request in asked} == {"two"}
        assert all("You are the careful one." in request.text for request in asked)
        spoken = [one.info for one in await supervisor.messages() if one.info.role == "assistant"]
        first, *chosen = [(one.agent, one.model, one.variant) for one in spoken]
        assert first[:2] == ("build", "scripted/one")
        assert set(chosen) == {("careful", "scripted/two", "high")}


async def _choose(supervisor: Supervisor, *steps: Step, on_notice: Sequence[Step]) -> None:
    """Send the user's next message with a choice of agent, model and variant."""
    stage = supervisor.stage
    mark = stage.events.mark()
    text = f"{supervisor.id}\n{script(*steps, on_notice=on_notice)}"
    await stage.client.prompt(
        supervisor.id, text, agent="careful", model="scripted/two", variant="high"
    )
    await stage.events.wait_idle(supervisor.id, since=mark)


LIMIT = '[background-agents]\nmax_concurrent_per_model = {"scripted/two" = 1}\n'

SECOND: Mapping[str, object] = {
    "agent": {
        "second": {"mode": "subagent", "model": "scripted/two", "description": "On another model."}
    }
}
"""An agent that has a model of its own."""


@pytest.mark.only("2", why="our service counts, whatever runs")
async def test_a_model_has_a_limit_of_its_own(tmp_path: Path, line: Line) -> None:
    """Two on one model follow each other, while one on another model runs beside them.

    Whether the model was named, or is the agent's own.
    """
    folder = tmp_path / "config" / "background-agents"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(LIMIT)
    async with staged(tmp_path, line, config=SECOND) as stage:
        supervisor = await stage.supervisor()
        tasks = [
            delegate("First on two.", say("One.", gate="first"), model="scripted/two"),
            delegate("Second on two.", say("Two.", gate="second"), agent="second"),
            delegate("Beside.", say("Three.", gate="beside")),
        ]
        await supervisor.turn(*tasks, say("Off."))
        await stage.model.wait_held("first")
        await stage.model.wait_held("beside")
        await supervisor.turn(call("delegation_status"), say("Looked."))
        (status,) = await supervisor.outputs("delegation_status")
        stage.model.open("first")
        await stage.model.wait_held("second")
        stage.model.open("second")
        stage.model.open("beside")
        await supervisor.settled(3)

        both = [*stage.asked("First on two."), *stage.asked("Second on two.")]
        (beside,) = stage.asked("Beside.")
        assert [one.model for one in (*both, beside)] == ["two", "two", "one"]
        states = re.findall(r"^- \S+ \[(\w+)\]", status, re.MULTILINE)
        assert states == ["running", "registered", "running"]
        assert at_once(both) == 1
        assert all(first.started_s < second.started_s for first, second in pairwise(both))
        assert at_once([*both, beside]) == 2
