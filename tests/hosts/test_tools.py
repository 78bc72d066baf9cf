"""The tools as the model meets them: their definitions, and answers to bad input."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator

import msgspec
import pytest

from background_agents.adapters.system import processes
from background_agents.config import Settings
from background_agents.domain.errors import InvalidRequest
from background_agents.domain.ids import SortableIds
from background_agents.hosts.opencode.tools import (
    NAMES,
    TOOLS,
    TOOLS_FILE,
    Answer,
    Call,
    definitions,
    run_tool,
)
from background_agents.service.context import Context
from background_agents.testing.clock import ManualClock
from background_agents.testing.memory import (
    MemoryArtifacts,
    MemoryJournal,
    MemoryStore,
    MemoryTrees,
)
from background_agents.testing.runtime import ScriptedChannel, ScriptedRuntime
from background_agents.testing.tries import MemoryTries
from background_agents.views import errors
from lab.harness.service import Service


class Tools:
    """The tools of a service on fakes."""

    def __init__(self) -> None:
        self.runtime = ScriptedRuntime()
        self.supervisor = self.runtime.add_session()
        self.store = MemoryStore()
        context = Context(
            runtime=self.runtime,
            channel=ScriptedChannel(self.runtime),
            store=self.store,
            artifacts=MemoryArtifacts(),
            journal=MemoryJournal(),
            trees=MemoryTrees(),
            tries=MemoryTries(),
            clock=ManualClock(),
            processes=processes,
            ids=SortableIds(random.Random(1)),
            project="p1",
            directory="/src/project",
            owner="me",
            tools=NAMES,
        )
        self.service = Service(context, Settings())

    async def call(self, tool: str, **args: object) -> Answer:
        return await self.call_raw(tool, json.dumps(args).encode())

    async def call_raw(self, tool: str, args: bytes) -> Answer:
        call = Call(1, tool, self.supervisor, args=msgspec.Raw(args))
        return await run_tool(self.service, call)


@pytest.fixture
async def tools() -> AsyncIterator[Tools]:
    tools = Tools()
    await tools.service.start()
    yield tools
    await tools.service.close()


# --- definitions -------------------------------------------------------------------


def test_the_file_that_the_bridge_reads_says_the_same() -> None:
    assert json.loads(TOOLS_FILE.read_text("utf-8")) == definitions()


@pytest.mark.parametrize(
    ("tool", "required", "optional"),
    [
        (
            "delegate",
            [],  # a retry may leave out even the prompt
            [
                *("prompt", "agent", "timeout_minutes", "model", "continue_id"),
                *("max_turns", "max_tokens", "max_cost_usd", "isolation", "retry_id"),
            ],
        ),
        ("delegation_apply", ["id"], ["paths"]),
        ("delegation_read", ["id"], ["offset"]),
        ("delegation_list", [], []),
        ("delegation_status", [], []),
        ("delegation_peek", ["id"], []),
        ("delegation_diff", ["id"], ["path"]),
        ("delegation_stop", ["id"], []),
        ("delegation_steer", ["id", "message"], []),
        ("delegation_answer", ["id", "reply"], []),
        ("delegation_wait", [], ["ids", "timeout_seconds", "mode"]),
        ("notify_parent", ["message"], []),
    ],
)
def test_optional_arguments_are_not_required(
    tool: str, required: list[str], optional: list[str]
) -> None:
    schema = msgspec.convert(definitions()[tool]["schema"], dict[str, object])
    assert schema["required"] == required
    assert list(msgspec.convert(schema["properties"], dict[str, object])) == required + optional
    assert schema["additionalProperties"] is False


def test_a_background_agent_gets_none_of_them() -> None:
    assert {*NAMES.supervisors, *NAMES.children} == set(TOOLS)
    assert NAMES.children == ("notify_parent",)


NAMES_THAT_TELL_ENOUGH = {"id", "max_tokens", "max_cost_usd"}
"""Each word costs tokens at each request."""


def test_every_tool_and_argument_is_described_in_plain_json_schema() -> None:
    for about in definitions().values():
        assert about["description"]
        schema = msgspec.convert(about["schema"], dict[str, object])
        arguments = msgspec.convert(schema["properties"], dict[str, dict[str, object]])
        for name, argument in arguments.items():
            is_list = argument["type"] == "array"
            assert set(argument) - {"description"} == {"type", *(["items"] if is_list else [])}
            assert "description" in argument or name in NAMES_THAT_TELL_ENOUGH
            assert argument["type"] in {"string", "number", "integer", "array"}


# --- calls -------------------------------------------------------------------------


async def test_delegating_answers_with_the_id(tools: Tools) -> None:
    answer = await tools.call("delegate", prompt="Find out.", agent="build")
    assert str(answer.metadata["id"]) in answer.output
    assert str(answer.metadata["id"]) in answer.title


async def test_null_is_as_good_as_leaving_it_out(tools: Tools) -> None:
    await tools.call(
        "delegate", prompt="Find out.", agent="build", timeout_minutes=None, model=None
    )


async def test_a_number_in_quotes_is_a_number(tools: Tools) -> None:
    answer = await tools.call("delegate", prompt="Find out.", agent="build", timeout_minutes="0.5")
    assert "time limit 30s" in answer.output


async def test_reading_what_runs_and_listing_it(tools: Tools) -> None:
    name = (await tools.call("delegate", prompt="Find out.", agent="build")).metadata["id"]
    assert "no result yet" in (await tools.call("delegation_read", id=name)).output
    assert str(name) in (await tools.call("delegation_list")).output


@pytest.mark.parametrize(
    ("tool", "args"),
    [
        ("delegate", b"{}"),
        ("delegate", b"null"),
        ("delegate", b"[]"),
        ("delegate", b'"do it"'),
        ("delegate", b'{"prompt": "x"}'),
        ("delegate", b'{"prompt": {"a": 1}, "agent": "build"}'),
        ("delegate", b'{"prompt": "x", "agent": "build", "timeout_minutes": "soon"}'),
        ("delegate", b'{"prompt": "x", "agent": "build", "timeout_minutes": "nan"}'),
        ("delegate", b'{"prompt": "x", "agent": "build", "model": "gpt"}'),
        ("delegate", b'{"prompt": "x", "agent": "nobody"}'),
        ("delegation_read", b"{}"),
        ("delegation_read", b'{"id": 3}'),
        ("delegation_read", b'{"id": "brave-amber-otter", "offset": 1.5}'),
        ("delegation_read", b'{"id": "../../etc/passwd"}'),
        ("delegation_read", b'{"id": "brave-amber-otter"}'),
        ("delegation_list", b"not json"),
        ("delegation_peek", b"{}"),
        ("delegation_diff", b"{}"),
        ("delegation_diff", b'{"id": "brave-amber-otter", "path": 3}'),
        ("delegation_answer", b'{"id": "brave-amber-otter"}'),
        ("delegation_answer", b'{"id": "brave-amber-otter", "reply": "once"}'),
        ("delegation_wait", b'{"ids": "brave-amber-otter"}'),
        ("delegation_wait", b'{"ids": ["brave-amber-otter"]}'),
        ("delegation_wait", b'{"timeout_seconds": 601}'),
        ("delegation_wait", b'{"timeout_seconds": -1}'),
        ("delegation_wait", b'{"mode": "some"}'),
        ("notify_parent", b'{"message": " "}'),
        ("notify_parent", b'{"message": "I am nobody\'s child."}'),
        ("delegate", b'{"prompt": "x", "agent": "build", "continue_id": "brave-amber-otter"}'),
    ],
)
async def test_bad_input_is_answered_in_one_sentence_and_changes_nothing(
    tools: Tools, tool: str, args: bytes
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await tools.call_raw(tool, args)
    sentence = errors.for_model(refused.value)
    assert "\n" not in sentence
    assert 10 < len(sentence) < 300
    assert await tools.store.unfinished() == []
