"""The scripted model, asked by a plain HTTP client as a provider's client would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp
import msgspec
import pytest

from lab.harness.dialect import dialect
from lab.harness.line import Line
from lab.model_server import ModelServer, script

Turn = Mapping[str, object]

NOTICE = "<task-notification>\n<task-id>brave-amber-otter</task-id>\n</task-notification>"

TOOLS: list[Turn] = [{"type": "function", "function": {"name": "delegate"}}]


class _Function(msgspec.Struct):
    name: str
    arguments: str


class _Call(msgspec.Struct):
    id: str
    function: _Function


class _Delta(msgspec.Struct):
    content: str = ""
    tool_calls: list[_Call] = []


class _Choice(msgspec.Struct):
    delta: _Delta
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice]


class Answer(msgspec.Struct):
    """What a client makes of one streamed answer."""

    chunks: list[str]
    calls: list[tuple[str, object]]
    finish: str | None

    @property
    def text(self) -> str:
        return "".join(self.chunks)


@pytest.fixture
async def model() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture
async def http(model: ModelServer) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(model.base_url + "/", timeout=timeout) as session:
        yield session


def user(text: str) -> Turn:
    return {"role": "user", "content": text}


def said(text: str) -> Turn:
    return {"role": "assistant", "content": text}


def body(turns: Sequence[Turn], tools: Sequence[Turn] = TOOLS) -> Turn:
    return {"model": "one", "stream": True, "messages": list(turns), "tools": list(tools)}


async def ask(http: aiohttp.ClientSession, *turns: Turn, tools: Sequence[Turn] = TOOLS) -> Answer:
    async with http.post("chat/completions", json=body(turns, tools)) as response:
        assert response.status == 200, await response.text()
        lines = (await response.text()).split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    chunks = [
        msgspec.json.decode(line.removeprefix("data: "), type=_Chunk).choices[0]
        for line in lines[:-2]
    ]
    calls = [
        (call.function.name, msgspec.json.decode(call.function.arguments))
        for chunk in chunks
        for call in chunk.delta.tool_calls
    ]
    texts = [chunk.delta.content for chunk in chunks if chunk.delta.content]
    return Answer(texts, calls, chunks[-1].finish_reason)


async def refusal(http: aiohttp.ClientSession, *turns: Turn) -> tuple[int, str, str | None]:
    async with http.post("chat/completions", json=body(turns)) as response:
        return response.status, await response.text(), response.headers.get("retry-after")


async def test_steps_are_played_one_for_each_request(http: aiohttp.ClientSession) -> None:
    prompt = user(script({"say": "One."}, {"say": "Two."}))

    assert (await ask(http, prompt)).text == "One."
    assert (await ask(http, prompt, said("One."), user("Go on."))).text == "Two."
    assert (await ask(http, prompt, said("One."), user("Go on."), said("Two."))).text == "Done."


@pytest.mark.parametrize("kept", [[], [said("On")]], ids=["nothing kept", "the half kept"])
async def test_an_answer_that_was_cut_off_counts(
    http: aiohttp.ClientSession, kept: Sequence[Turn]
) -> None:
    """Whatever the runtime has kept of it: the next answer is the next step."""
    prompt = user(script({"say": "One."}, {"say": "Two."}))
    go_on = user("You were cut off: the program that runs you ended and was started again.")

    assert (await ask(http, prompt, *kept, go_on)).text == "Two."


async def test_tools_are_called_by_the_names_of_who_asks() -> None:
    """Scripts and what a test sees have OpenCode 1's names, whichever line asks."""
    offered: list[Turn] = [{"type": "function", "function": {"name": "shell"}}]
    look = {"call": "bash", "args": {"command": "true"}}
    read = {"call": "read", "args": {"filePath": "a", "limit": 1}}
    async with (
        ModelServer(dialect=dialect(Line.TWO)) as model,
        aiohttp.ClientSession(model.base_url + "/") as http,
    ):
        both = user(script({"calls": [look, read]}))
        answer = await ask(http, both, tools=offered)

    assert answer.calls == [("shell", {"command": "true"}), ("read", {"path": "a", "limit": 1})]
    assert model.requests[0].tool_names == {"bash"}


async def test_the_newest_script_counts(http: aiohttp.ClientSession) -> None:
    older, newer = user(script({"say": "Old."})), user(script({"say": "New."}))

    assert (await ask(http, older, said("Old."), newer)).text == "New."


async def test_text_is_repeated_in_chunks_at_a_pace(
    model: ModelServer, http: aiohttp.ClientSession
) -> None:
    step: dict[str, object] = {"say": "ab", "repeat": 5, "per_chunk": 2, "every_ms": 20}

    answer = await ask(http, user(script(step)))

    assert answer.chunks == ["abab", "abab", "ab"]
    assert answer.finish == "stop"
    request = model.requests[0]
    assert request.streamed == "ab" * 5
    assert request.ended_s is not None
    assert request.ended_s - request.started_s >= 0.04


async def test_one_answer_can_call_several_tools(http: aiohttp.ClientSession) -> None:
    calls = [{"call": "read", "args": {"path": "a"}}, {"call": "list"}]

    answer = await ask(http, user(script({"say": "Looking.", "calls": calls})))

    assert answer.text == "Looking."
    assert answer.calls == [("read", {"path": "a"}), ("list", {})]
    assert answer.finish == "tool_calls"


async def test_the_newest_id_is_filled_in(http: aiohttp.ClientSession) -> None:
    step: dict[str, object] = {
        "call": "delegation_wait",
        "args": {"ids": ["{id}"], "note": "for {id}"},
    }
    prompt = user(script({"call": "delegate"}, step))
    started = {"role": "tool", "tool_call_id": "1", "content": "Started calm-green-fox-21."}

    answer = await ask(http, prompt, said(""), started)

    filled = {"ids": ["calm-green-fox-21"], "note": "for calm-green-fox-21"}
    assert answer.calls == [("delegation_wait", filled)]


async def test_each_notice_is_answered_by_its_own_steps(http: aiohttp.ClientSession) -> None:
    read: dict[str, object] = {"call": "delegation_read", "args": {"id": "{id}"}}
    prompt = user(script({"say": "Off."}, on_notice=[read, {"say": "Read it."}]))
    first = [prompt, said("Off."), user(NOTICE)]
    result = {"role": "tool", "tool_call_id": "1", "content": "The result"}

    asked = await ask(http, *first)
    assert asked.calls == [("delegation_read", {"id": "brave-amber-otter"})]
    assert (await ask(http, *first, said(""), result)).text == "Read it."
    again = user(NOTICE.replace("amber", "blue"))
    asked = await ask(http, *first, said(""), result, said("Read it."), again)
    assert asked.calls == [("delegation_read", {"id": "brave-blue-otter"})]


async def test_a_failure_is_repeated_as_often_as_said(http: aiohttp.ClientSession) -> None:
    fail: dict[str, object] = {
        "fail": 429,
        "message": "slow down",
        "times": 2,
        "retry_after_s": 0.5,
    }
    prompt = user(script(fail, {"say": "Now."}))

    for _ in range(2):
        status, text, retry_after = await refusal(http, prompt)
        assert (status, retry_after) == (429, "0.5")
        assert "slow down" in text
    assert (await ask(http, prompt)).text == "Now."


async def test_a_failure_without_times_is_for_good(http: aiohttp.ClientSession) -> None:
    for _ in range(3):
        assert (await refusal(http, user(script({"fail": 400}))))[0] == 400


@pytest.mark.parametrize(
    "text",
    ["<script>[{</script>", '<script>[{"shout": 1}]</script>', "<script>[]", "<script>7</script>"],
)
async def test_a_malformed_script_is_refused(http: aiohttp.ClientSession, text: str) -> None:
    status, answer, _ = await refusal(http, user(text))

    assert status == 400
    assert "bad script" in answer


async def test_a_client_that_leaves_a_hanging_answer_is_seen(
    model: ModelServer, http: aiohttp.ClientSession
) -> None:
    prompt = body([user(script({"hang": True}))])

    async with http.post("chat/completions", json=prompt) as response:
        assert response.status == 200
        assert model.active == 1
        response.close()
        request = await model.wait_for(lambda one: one.ended_s is not None, timeout_s=5)

    assert request.cut_off
    assert model.active == 0


async def test_answers_end_together_when_their_gate_opens(
    model: ModelServer, http: aiohttp.ClientSession
) -> None:
    async def held(text: str) -> str:
        return (await ask(http, user(script({"say": text, "gate": "end"})))).text

    async with asyncio.TaskGroup() as asking:
        one, two = asking.create_task(held("One.")), asking.create_task(held("Two."))
        await model.wait_held("end", 2)
        assert model.active == 2
        assert {request.streamed for request in model.requests} == {"One.", "Two."}
        model.open("end")

    assert (one.result(), two.result()) == ("One.", "Two.")
    assert await held("A late one.") == "A late one."


async def test_waiting_at_a_gate_has_an_end(model: ModelServer) -> None:
    with pytest.raises(TimeoutError):
        await model.wait_held("nobody", timeout_s=0.01)


async def test_calls_without_tools_get_the_title(http: aiohttp.ClientSession) -> None:
    assert (await ask(http, user(script({"say": "One."})), tools=[])).text == "Scripted title"


async def test_a_script_may_hold_another(http: aiohttp.ClientSession) -> None:
    inner = "Do it. " + script({"say": "Inner."})
    outer = user(script({"call": "delegate", "args": {"prompt": inner}}))

    assert (await ask(http, outer)).calls == [("delegate", {"prompt": inner})]
    assert (await ask(http, user(inner))).text == "Inner."


async def test_waiting_for_a_request_that_never_comes_has_an_end(model: ModelServer) -> None:
    with pytest.raises(TimeoutError):
        await model.wait_for(lambda _: True, timeout_s=0.01)
