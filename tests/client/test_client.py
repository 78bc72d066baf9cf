"""What a program may do with a project's delegations: both faces, on a real socket and store."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading

import pytest
from projects import HANG, Project, life

import background_agents
from background_agents import AsyncClient, AsyncHandle, Client, Handle, Sheet, errors
from background_agents.client import synchronous
from background_agents.domain.order import Order
from background_agents.ports.storage import Change
from background_agents.views.json import RequestSheet
from lab.harness.service import Service

LIMIT_S = 10.0


async def test_a_task_from_its_beginning_to_its_result(
    project: Project, agents: AsyncClient
) -> None:
    delegation = await agents.delegate(project.prompt({"say": "Two trees."}), "build")
    ended = await delegation.wait()
    assert (ended.id, ended.state, ended.title) == (delegation.id, "completed", "Look into it.")
    assert await life(delegation) == ["Registered", "Launched", "Completed", "NoticeQueued"]
    assert (await delegation.status()).unread
    assert await delegation.result(mark_read=False) == "Two trees."
    assert (await delegation.status()).unread
    assert await delegation.result() == "Two trees."
    assert not (await delegation.status()).unread
    assert not await agents.active()


async def test_what_runs_is_looked_at_steered_and_stopped(
    project: Project, agents: AsyncClient
) -> None:
    delegation = await agents.delegate(project.prompt(HANG), "build", timeout_minutes=0)
    child = await project.working(delegation)
    child.write("So far. ")
    (active,) = await agents.active()
    assert (active.delegation.id, active.delegation.timeout_s) == (delegation.id, None)
    assert active.live is not None
    assert (await delegation.peek()).text == "So far. "
    assert (await delegation.steer("Go south.")).steers_pending == 1
    same = await agents.get(delegation.id[:-2])
    assert same.id == delegation.id
    stopped = await same.stop()
    assert (stopped.state, await delegation.stop()) == ("stopped", await delegation.status())
    assert (await delegation.result()).endswith("So far. ")
    with pytest.raises(errors.HasEnded, match=rf"{delegation.id} has ended \(stopped\)"):
        await delegation.peek()
    for late in (delegation.steer("More."), delegation.answer("once")):
        with pytest.raises(errors.HasEnded):
            await late


async def test_a_question_is_heard_of_once_and_answered(
    project: Project, agents: AsyncClient
) -> None:
    project.runtime.asking.add("bash")
    bash = {"call": "bash", "args": {"command": "make"}}
    delegation = await agents.delegate(project.prompt(bash, {"say": "Made."}), "build")
    asked: list[tuple[str, list[str]]] = []
    heard = threading.Event()

    def asks(name: str, requests: list[RequestSheet]) -> None:
        asked.append((name, [one.kind for one in requests]))
        heard.set()

    waiting = asyncio.create_task(agents.wait([delegation.id], asks=asks))
    assert await asyncio.to_thread(heard.wait, LIMIT_S)
    (request,) = (await delegation.status()).requests
    with pytest.raises(errors.InvalidRequest, match="has changed meanwhile"):
        await delegation.answer("once", request="per_another")
    answered = await delegation.answer("once", request=request.id)
    assert "make" in answered.asked
    assert answered.delegation.requests == ()
    (ended,) = await waiting
    assert (ended.state, asked) == ("completed", [(delegation.id, ["permission"])])
    with pytest.raises(errors.HasEnded):
        await delegation.answer("once")


async def test_a_long_wait_tells_of_a_request_once(
    project: Project, agents: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it makes sure every now and then who runs what it is about."""
    monkeypatch.setattr(synchronous, "RECHECK_S", 0.05)
    project.runtime.asking.add("bash")
    bash = {"call": "bash", "args": {"command": "make"}}
    delegation = await agents.delegate(project.prompt(bash), "build")
    told: list[str] = []
    await agents.wait([delegation.id], timeout_s=0.4, asks=lambda name, _: told.append(name))
    assert told == [delegation.id]


async def test_events_come_as_they_happen(project: Project, agents: AsyncClient) -> None:
    """What is stored already comes at once, what follows when it does, and each event once."""
    delegation = await agents.delegate(project.prompt(HANG), "build")
    child = await project.working(delegation)
    async with asyncio.timeout(LIMIT_S):
        each = aiter(delegation)
        assert [(await anext(each)).event, (await anext(each)).event] == ["Registered", "Launched"]
        coming = asyncio.ensure_future(anext(each))
        await delegation.steer("Go south.")
        steered = await coming
        told = "was given an instruction by the command line: Go south."
        assert (steered.event, steered.text) == ("SteerSent", told)
        coming = asyncio.ensure_future(anext(each))
        child.finish()
        assert (await coming).event == "SteerConfirmed"
        assert await life(each) == ["Completed", "NoticeQueued"]


async def test_a_status_is_never_behind_what_was_told(
    project: Project, service: Service, agents: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored can be seen before its own run has heard that it is."""
    commit = service.project.context.store.commit
    stored, heard = asyncio.Event(), asyncio.Event()

    async def slow_commit(change: Change) -> None:
        await commit(change)
        stored.set()
        await heard.wait()

    monkeypatch.setattr(service.project.context.store, "commit", slow_commit)
    delegation = await agents.delegate(project.prompt({"say": "Done."}), "build")
    await stored.wait()
    events = delegation.events()
    assert (await anext(events)).event == "Registered"
    assert (await anext(events)).event == "Launched"
    asking = asyncio.create_task(delegation.status())
    assert not (await asyncio.wait({asking}, timeout=0.2))[0]
    heard.set()
    assert (await asking).session
    assert (await delegation.wait()).state == "completed"


async def test_what_is_written_is_read_along(project: Project, agents: AsyncClient) -> None:
    delegation = await agents.delegate(project.prompt(HANG), "build")
    child = await project.working(delegation)
    child.write("One. ")
    async with asyncio.timeout(LIMIT_S):
        each = delegation.follow()
        assert await anext(each) == "One. "
        coming = asyncio.ensure_future(anext(each))
        child.write("Two. ")
        assert await coming == "Two. "
        child.finish()
        assert [one async for one in each] == []
    assert [one async for one in delegation.follow()] == []  # there is nothing more to come


async def test_a_wait_for_several(project: Project, agents: AsyncClient) -> None:
    """For any, for all, for what is active, and no longer than was said."""
    first, second = [await agents.delegate(project.prompt(HANG), "build") for _ in range(2)]
    names = [first.id, second.id]
    children = [await project.working(one) for one in (first, second)]
    for over in await agents.wait(names, timeout_s=0.05), [await first.wait(0)]:
        assert {(one.state, one.ended_at) for one in over} == {("running", None)}
    waiting = asyncio.create_task(agents.wait(names, for_any=True))
    all_active = asyncio.create_task(agents.wait())
    await project.serves(2)
    children[1].finish()
    assert [one.state for one in await waiting] == ["running", "completed"]
    children[0].finish()
    ended = await all_active
    assert [one.id for one in ended] == names
    assert all(one.ended_at for one in ended)
    assert [one.id for one in await agents.wait(names[:1], for_any=True)] == names[:1]
    assert not await agents.wait()


async def test_several_are_stopped_in_one_act(project: Project, agents: AsyncClient) -> None:
    made = [await agents.delegate(project.prompt(HANG), "build") for _ in range(3)]
    for one in made:
        await project.working(one)
    names = [one.id for one in made]
    await made[0].stop()
    stopped = [one async for one in agents.stop_all(names)]
    assert [isinstance(one, Sheet) and (one.id, one.state) for one in stopped] == [
        (name, "stopped") for name in names
    ]


async def test_the_past_is_listed_and_searched(project: Project, agents: AsyncClient) -> None:
    says = ("A quince, a quince.", "Apples.", "An old quince bears every other year.")
    made = [await agents.delegate(project.prompt({"say": one}), "build") for one in says]
    await agents.wait([one.id for one in made])
    newest_first = [one.id for one in reversed(made)]
    assert [one.id for one in await agents.list()] == newest_first
    assert [one.id for one in await agents.list("state:completed", limit=1)] == newest_first[:1]
    assert [one.id for one in await agents.list("quince")] == [made[2].id, made[0].id]
    assert [one.id for one in await agents.search("quince state:completed")] == [
        made[0].id,
        made[2].id,
    ]
    assert not await agents.search("quince @nobody")
    with pytest.raises(errors.InvalidRequest, match="A search is for words"):
        await agents.search("state:failed")
    with pytest.raises(errors.InvalidRequest, match="There is no state 'odd'"):
        await agents.list("state:odd")


async def test_one_goes_on_from_another(project: Project, agents: AsyncClient) -> None:
    first = await agents.delegate(project.prompt({"say": "Begun."}), "build")
    await first.wait()
    second = await agents.delegate(
        prompt=project.prompt({"say": "Gone on."}), agent="build", continue_id=first.id[:-1]
    )
    assert (await second.wait()).continued_from == first.id


async def test_what_cannot_be_meant_is_refused(project: Project, agents: AsyncClient) -> None:
    for asked, sentence in (
        (agents.delegate("x", "nobody"), "No agent is called 'nobody'"),
        (agents.delegate(" ", "build"), "The prompt is empty"),
        (agents.delegate("x", "build", model="one"), "'one' does not name a model"),
        (agents.delegate("x", "build", continue_id="no-such-one"), "No delegation"),
        (agents.get("no-such-one"), "No delegation here has an id that begins with 'no-such-one'"),
    ):
        with pytest.raises(errors.InvalidRequest, match=sentence):
            await asked
    assert not await agents.list()
    delegation = await agents.delegate(project.prompt(HANG), "build")
    with pytest.raises(errors.NoResult, match="has no result yet"):
        await delegation.result()
    with pytest.raises(errors.InvalidRequest, match="The instruction is empty"):
        await delegation.steer(" ")
    with pytest.raises(errors.InvalidRequest, match="waits for no answer"):
        await delegation.answer("once")
    with pytest.raises(errors.InvalidRequest, match="is not a folder"):
        async with background_agents.connect(project.folder / "nowhere"):
            pass
    with pytest.raises(errors.InvalidRequest, match="Enter it first"):
        await background_agents.connect(project.folder).active()


async def test_the_synchronous_form_is_the_same(project: Project, service: Service) -> None:
    """In a program without a loop; here on a thread, since the service has the loop."""

    def program() -> tuple[list[str], str, str]:
        with background_agents.connect_sync(project.folder) as agents:
            delegation = agents.delegate(project.prompt({"say": "Plainly."}), "build")
            happened = [one.event for one in delegation]
            assert delegation.wait().state == "completed"
            return happened, delegation.result(), repr(agents.get(delegation.id))

    happened, result, shown = await asyncio.to_thread(program)
    assert happened[0] == "Registered"
    assert "Completed" in happened
    assert result == "Plainly."
    assert shown.startswith("Handle('")


async def test_a_task_that_is_cancelled_takes_its_wait_with_it(
    project: Project, agents: AsyncClient
) -> None:
    """Neither a thread nor a connection stays behind, and the rest goes on."""
    delegation = await agents.delegate(project.prompt(HANG), "build")
    child = await project.working(delegation)
    child.write("So far. ")
    before = set(threading.enumerate())
    each, events = delegation.follow(), delegation.events()
    assert await anext(each) == "So far. "
    assert (await anext(events)).event == "Registered"
    assert (await anext(events)).event == "Launched"
    waits = (delegation.wait(), agents.wait(), anext(each), anext(events))
    waiting = [asyncio.ensure_future(one) for one in waits]
    await project.serves(len(waiting))
    for one in waiting:
        one.cancel()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(one) for one in ended} == {asyncio.CancelledError}
    await project.serves(0)
    assert (await delegation.peek()).text == "So far. "
    watching = {one for one in threading.enumerate() if "watch" in one.name}
    assert watching - before == set()


async def test_closing_ends_what_is_waited_for(project: Project, service: Service) -> None:
    async with background_agents.connect(project.folder) as agents:
        delegation = await agents.delegate(project.prompt(HANG), "build")
        await project.working(delegation)
        waiting = asyncio.create_task(delegation.wait())
        reading = asyncio.ensure_future(anext(delegation.follow()))
        await project.serves(2)
    for one in (waiting, reading):
        with pytest.raises(errors.NotServed, match="The client was closed"):
            await asyncio.wait_for(one, LIMIT_S)


def test_both_faces_can_do_the_same() -> None:
    internal = {"order", "apart"}
    for plain, awaited in ((Client, AsyncClient), (Handle, AsyncHandle)):
        ours, theirs = (
            {name for name, _ in inspect.getmembers(one, callable) if not name.startswith("_")}
            for one in (plain, awaited)
        )
        assert ours - internal == theirs
        for name in theirs - {"close"}:
            same = getattr(plain, name), getattr(awaited, name)
            assert same[0].__doc__ == same[1].__doc__


def test_a_delegation_takes_what_an_order_is_made_of() -> None:
    """An argument that is added to the order is one of both faces at once."""
    told = Client.delegate.__doc__ or ""
    assert [name for name in Order.__struct_fields__ if f"``{name}``" not in told] == []


def test_all_that_is_public_is_there_when_it_is_asked_for() -> None:
    for name in background_agents.__all__:
        found = getattr(background_agents, name)
        assert getattr(found, "__name__", name).rpartition(".")[2] == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        background_agents.nothing  # type: ignore[attr-defined]  # noqa: B018
    looking = "import background_agents, sys; print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", looking], text=True).split()
    assert [one for one in modules if one.startswith("background_agents.")] == []


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        (Order(" ", "build"), "The prompt is empty; say what the agent is to do."),
        (Order("Look.", "build", model="one"), "'one' does not name a model"),
        (Order("Look.", "build", timeout_minutes=-1), "timeout_minutes is -1"),
    ],
)
def test_what_cannot_be_meant_starts_no_opencode(
    project: Project, monkeypatch: pytest.MonkeyPatch, order: Order, sentence: str
) -> None:
    """Nobody serves here: it is refused before an OpenCode is looked for, which there is not."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("OPENCODE_BIN", raising=False)
    with (
        background_agents.connect_sync(project.folder) as agents,
        pytest.raises(errors.InvalidRequest, match=sentence),
    ):
        agents.order(order)
