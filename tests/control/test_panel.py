"""The panel's calls over a real socket: what a screen is shown, when, and what may be done."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sockets import PROJECT, Office, Raw
from world import DEAD, DIRECTORY, HANG, LIVING, World

from background_agents.control.shells import MARK, Starter, mark_for
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import RuntimeUnreachable, StoreUnavailable
from background_agents.domain.events import (
    Completed,
    Extended,
    InputAnswered,
    Launched,
    SteerSent,
    StopRequested,
)
from background_agents.testing.contracts.samples import registered
from background_agents.views.live import Live

Told = dict[str, Any]

OTTER, HERON = "brave-amber-otter", "quick-silent-heron"

CLIENT = """
import json, socket, sys
one = socket.socket(socket.AF_UNIX)
one.connect(sys.argv[1])
one.sendall(sys.argv[2].encode() + b"\\n")
print(one.makefile().readline())
"""


class Screen:
    """A panel: what it is shown, one after the other."""

    def __init__(self, office: Office, raw: Raw) -> None:
        self.raw = raw
        self._office, self._world = office, office.world

    def watch(self, session: str, number: int = 1, **how: object) -> None:
        self.raw.send("watch", number, directory=DIRECTORY, session=session, **how)

    async def shown(self) -> Told:
        """Return what is shown next, and no time passes."""
        message = await self.raw.read()
        assert message.get("method") == "shown", message
        return dict(message["params"])

    async def until(self, holds: Callable[[Told], object]) -> Told:
        """Return what is shown once that holds, however much time has to pass."""
        while True:
            reading = asyncio.ensure_future(self.shown())
            await self._world.settle()
            while not reading.done():
                self._world.advance(seconds=0.5)
                await self._world.settle()
            if holds(told := await reading):
                return told

    async def act(self, what: str, one: Delegation, **more: object) -> str:
        """Do what a person does at a panel; return the state that this leads to."""
        async with self._office.raw() as raw:
            given = {"project": PROJECT, "id": one.id, "surface": "panel", **more}
            result = (await raw.ask(what, **given))["result"]
        return str(result.get("delegation", result)["state"])


@asynccontextmanager
async def screen(
    office: Office, session: str | None = None, **how: object
) -> AsyncIterator[Screen]:
    """Open a panel that watches a session; if it is not told which, its supervisor's."""
    async with office.raw() as raw:
        one = Screen(office, raw)
        one.watch(office.world.supervisor if session is None else session, **how)
        yield one


def texts(told: Told) -> list[str]:
    return ["".join(span["text"] for span in line) for line in told["lines"]]


def news(told: Told) -> list[str]:
    return [one["key"] for one in told["news"]]


def counts(counter: str) -> Callable[[Told], bool]:
    return lambda told: bool(told["counter"] == counter)


async def elsewhere(world: World, name: str, owner: str = LIVING, root: str = "") -> Delegation:
    """Store a delegation as another process does, for a directory that is not open here."""
    event = registered(name, root=root or world.supervisor, owner=owner)
    return await world.store.register(replace(event, directory="/src/else", at=world.clock.now()))


async def test_a_whole_life_as_the_panel_shows_it(world: World, office: Office) -> None:
    async with screen(office) as panel:
        told = await panel.shown()
        assert (told["counter"], told["head"], told["lines"], told["more"]) == ("", "", [], "")
        one = await world.delegate(office.service, HANG)
        child = await world.working(one)
        told = await panel.until(counts("1 running"))
        assert told["ids"] == [one.id]
        assert texts(told) == ["● Look into it.             14m left", "  build"]
        asked = child.ask("bash", "make")
        await world.waits(one)
        told = await panel.until(counts("1 asks"))
        assert texts(told)[1] == "  build · bash: make"
        assert news(told) == [f"{one.id}:asks:{asked.id}"]
        assert told["news"][0]["message"] == f"{one.id} waits for an answer"
        assert await panel.act("answer", one, text="once", request=asked.id) == "running"
        told = await panel.until(counts("1 unread"))  # what it was to do was one command
        assert texts(told) == ["✓ Look into it.            completed", "  build · <1m ago"]
        assert news(told) == [f"{one.id}:ended"]
        await office.service.read(world.supervisor, one.id)
        told = await panel.until(lambda told: not told["ids"])
        assert (told["counter"], told["head"], told["lines"]) == ("", "", [])


async def test_who_acts_from_the_panel_is_said_so(world: World, office: Office) -> None:
    """And the model is not woken for what its human has just done."""
    one = await world.delegate(office.service, HANG)
    asking = await world.delegate(office.service, HANG, supervisor=world.runtime.add_session())
    await world.working(one)
    asked = (await world.working(asking)).ask("bash", "make")
    await world.waits(asking)
    async with screen(office) as panel:
        await panel.act("answer", asking, text="once", request=asked.id)
        await panel.act("steer", one, text="Go south.")
        await panel.act("extend", one, minutes=5)
        assert await panel.act("stop", one) == "stopped"
    history = [*await world.store.history(asking.id), *await world.store.history(one.id)]
    kinds = (InputAnswered, SteerSent, Extended, StopRequested)
    assert [event.by for event in history if isinstance(event, kinds)] == ["panel"] * 4
    assert "[STOPPED BY USER] Stopped by the user, from the panel." in await world.artifact(one)
    await world.received(one)
    sent = [message for message in world.channel.attempts if message.session == world.supervisor]
    assert [message.wakes for message in sent] == [False]


async def test_a_state_is_shown_within_a_second_and_no_end_is_missed(
    world: World, office: Office
) -> None:
    """Not even of one that was read between two looks, and so is not among the unread."""
    async with screen(office) as panel:
        await panel.shown()
        one = await world.delegate(office.service, HANG)
        child = await world.working(one)
        await world.settle()
        world.advance(seconds=1)
        assert (await panel.shown())["counter"] == "1 running"
        child.finish()
        await world.ended(one)
        await office.service.read(world.supervisor, one.id)
        await world.settle()
        world.advance(seconds=1)
        told = await panel.shown()
        assert (told["counter"], news(told)) == ("", [f"{one.id}:ended"])


async def test_what_only_moves_along_is_shown_every_three_seconds(
    world: World, office: Office
) -> None:
    """A hundred, of which those that are shown write ten times a second."""
    made = [await world.delegate(office.service, HANG) for _ in range(100)]
    children = [await world.working(one) for one in made[:8]]
    await world.settle()
    async with screen(office) as panel:
        told = [await panel.shown()]
        assert told[0]["counter"] == "8 running · 92 queued"
        assert (len(told[0]["lines"]), told[0]["more"]) == (16, "+92 more")
        for tenth in range(95):
            for child in children:
                child.write(f"{tenth} ")
            office.service.project.bell.ring()
            await world.settle()
            world.advance(seconds=0.1)
        asked = children[0].ask("bash", "make")
        await world.waits(made[0])
        while not told[-1]["news"]:
            told.append(await panel.until(bool))
        assert news(told[-1]) == [f"{made[0].id}:asks:{asked.id}"]
        assert len(told) == 5  # at 0, 3, 6 and 9 seconds, and at once
        assert len({texts(one)[1] for one in told}) == 5


async def test_many_screens_at_once_and_one_that_reads_nothing(
    world: World, office: Office
) -> None:
    async with screen(office), screen(office, columns=60) as wide, screen(office) as narrow:
        await wide.shown()
        await narrow.shown()
        one = await world.delegate(office.service, HANG)
        child = await world.working(one)
        assert (await wide.until(counts("1 running")))["ids"] == [one.id]
        assert (await narrow.shown())["ids"] == [one.id]
        narrow.raw.writer.close()
        child.finish()
        await world.ended(one)
        told = await wide.until(counts("1 unread"))
        assert news(told) == [f"{one.id}:ended"]
        assert len(texts(told)[0]) == 60
    await office.is_alone()
    assert office.service.project.panels.watching == []


async def test_another_session_takes_the_place_of_the_first(world: World, office: Office) -> None:
    """What happens between the last look at one and the first at the other is told, once."""
    other = world.runtime.add_session()
    mine = await world.delegate(office.service, HANG)
    theirs = await world.delegate(office.service, HANG, supervisor=other)
    child = await world.working(theirs)
    await world.working(mine)
    async with screen(office) as panel:
        assert (await panel.shown())["ids"] == [mine.id]
        world.advance(seconds=0.5)
        child.finish()
        await world.ended(theirs)
        world.advance(seconds=0.1)
        panel.watch(other, 2)
        assert await panel.raw.read() == {"jsonrpc": "2.0", "id": 1, "result": None}
        told = await panel.shown()
        assert (told["ids"], news(told)) == ([theirs.id], [f"{theirs.id}:ended"])
        panel.watch(world.supervisor, 3)
        assert (await panel.raw.read())["id"] == 2
        told = await panel.shown()
        assert (told["ids"], told["news"]) == ([mine.id], [])
        panel.watch("", 4)
        assert (await panel.raw.read())["id"] == 3
        told = await panel.shown()
        assert (told["ids"], told["news"]) == ([mine.id, theirs.id], [])
        assert told["counter"] == "1 running · 1 unread"


async def test_what_nobody_else_watches_is_told_to_one_screen(world: World, office: Office) -> None:
    other = world.runtime.add_session()
    async with screen(office) as first, screen(office) as second:
        await first.shown()
        await second.shown()
        one = await world.delegate(office.service, HANG, supervisor=other)
        child = await world.working(one)
        asked = child.ask("bash", "make")
        await world.waits(one)
        told = await first.until(news)
        assert (told["ids"], news(told)) == ([], [f"{one.id}:asks:{asked.id}"])
        async with screen(office, other) as third:
            assert (await third.shown())["news"] == []  # it was there before
            child.ask("bash", "rm -rf build")
            await world.waits(one, 2)
            assert len((await third.until(news))["news"]) == 1
        mine = await world.delegate(office.service, HANG)
        await world.working(mine)
        for panel in (first, second):
            told = await panel.until(bool)
            assert (told["counter"], told["news"]) == ("1 running", [])


async def test_a_session_below_shows_its_conversation(world: World, office: Office) -> None:
    one = await world.delegate(office.service, HANG)
    child = await world.working(one)
    for session in (child.name, world.runtime.add_session(child.name)):
        async with screen(office, session) as panel:
            assert (await panel.shown())["ids"] == [one.id]
    async with screen(office, "ses_unknown") as panel:
        assert (await panel.shown())["ids"] == []


async def test_what_another_process_does_is_seen(world: World, office: Office) -> None:
    """Its end is told by its record alone: one that was deleted has not ended."""
    async with screen(office) as panel:
        await panel.shown()
        otter, heron = await elsewhere(world, OTTER), await elsewhere(world, HERON)
        before = world.clock.now()
        told = await panel.until(counts("2 queued"))
        assert world.clock.now() - before <= timedelta(seconds=3)
        assert texts(told)[1] == "  researcher · in another OpenCode"
        await world.commit(otter, Launched(at=before, session="ses_else", message="msg_1"))
        await world.commit(otter, Completed(at=world.clock.now(), summary="Done."))
        world.store.prune(heron.id)
        told = await panel.until(counts("1 unread"))
        assert (told["ids"], news(told)) == ([OTTER], [f"{OTTER}:ended"])
        await elsewhere(world, HERON, DEAD)
        told = await panel.until(counts("1 queued · 1 unread"))
        assert texts(told)[1] == "  researcher · its OpenCode is gone"


async def test_a_project_shows_what_has_ended_of_late(world: World, office: Office) -> None:
    """And a conversation all that it has not read."""
    await world.ended(await world.delegate(office.service, {"say": "Done."}))
    world.advance(days=2)
    new = await world.ended(await world.delegate(office.service, {"say": "Done."}))
    async with screen(office, "") as project, screen(office) as session:
        assert (await project.shown())["ids"] == [new.id]
        assert (await session.shown())["counter"] == "2 unread"


async def test_a_run_that_cannot_be_looked_at_costs_no_news(
    world: World, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await world.delegate(office.service, HANG)
    child = await world.working(one)
    run = office.service.project.runs.of(one)
    async with screen(office) as panel:
        await panel.shown()

        async def look() -> Live:
            raise RuntimeUnreachable("OpenCode does not answer.")

        with monkeypatch.context() as unreachable:
            unreachable.setattr(run, "look", look)
            child.ask("bash", "make")
            await world.waits(one)
            assert (await panel.until(lambda told: told["note"]))["news"] == []
        assert len((await panel.until(counts("1 asks")))["news"]) == 1


async def test_a_store_that_fails_is_told_and_gone_on_with(world: World, office: Office) -> None:
    async with screen(office) as panel:
        await panel.shown()
        world.store.failure = StoreUnavailable("The disk is full.")
        told = await panel.until(lambda told: told["note"])
        assert (told["note"], told["lines"]) == ("The disk is full.", [])
        world.store.failure = None
        assert (await panel.until(lambda told: not told["note"]))["counter"] == ""


async def test_the_end_of_the_service_ends_the_watch(world: World, office: Office) -> None:
    async with screen(office) as panel:
        await panel.shown()
        await office.server.close()
        assert await panel.raw.reader.read() == b""
    assert office.service.project.panels.watching == []


async def test_nothing_is_looked_at_for_nobody(
    world: World, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with screen(office) as panel:
        await panel.shown()
    await office.is_alone()
    waiting = world.clock.pending

    async def newest_event() -> int:
        raise AssertionError("nobody watches")

    monkeypatch.setattr(world.store, "newest_event", newest_event)
    world.advance(seconds=10)
    office.service.project.bell.ring()
    await world.settle()
    assert world.clock.pending == waiting


@pytest.mark.parametrize(
    ("starter", "by"), [(Starter.SUPERVISOR, "supervisor"), (Starter.BACKGROUND, "")]
)
async def test_a_model_is_no_person_whatever_it_says(
    world: World, office: Office, starter: Starter, by: str
) -> None:
    """It may read; but what a person had delegated is not read by that."""
    one = await world.delegate(office.service, HANG)
    await world.working(one)
    over = await world.ended(await world.delegate(office.service, {"say": "Done."}))
    answers = []
    for method, name in (("stop", one.id), ("read", over.id)):
        params = {"project": PROJECT, "id": name, "surface": "panel"}
        call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CLIENT, str(office.path), call),
            env={**os.environ, MARK: mark_for(starter)},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 10)
        answers.append(json.loads(out))
    assert ("result" in answers[0]) == bool(by)
    assert (world.now(one).stop_requested_by or "") == by
    assert answers[1]["result"]["text"] == "Done."
    assert world.now(over).is_unread


async def test_the_list_says_what_may_be_done_now(world: World, office: Office) -> None:
    other = world.runtime.add_session()
    over = await world.delegate(office.service, {"say": "Done."})
    await world.ended(over)
    theirs = await world.delegate(office.service, HANG, supervisor=other)
    await world.working(theirs)
    asking = await world.delegate(office.service, HANG)
    asked = (await world.working(asking)).ask("bash", "make")
    await world.waits(asking)
    await elsewhere(world, HERON, DEAD)
    async with office.raw() as raw:
        given = {"directory": DIRECTORY, "session": world.supervisor}
        rows = (await raw.ask("entries", **given))["result"]
        whole = (await raw.ask("entries", directory=DIRECTORY))["result"]
    assert [(one["id"], one["group"]) for one in rows] == [
        (asking.id, "This session"),
        (HERON, "This session"),
        (over.id, "This session"),
        (theirs.id, "This project"),
    ]
    assert [one["id"] for one in whole] == [asking.id, theirs.id, HERON, over.id]
    may = {one["id"]: [action["name"] for action in one["actions"]] for one in rows}
    assert may[asking.id] == ["answer", "peek", "steer", "extend", "stop", "open", "copy"]
    assert may[over.id] == ["read", "open", "continue", "retry", "copy"]
    assert may[HERON] == ["copy"]
    answer = rows[0]["actions"][0]
    assert answer["request"] == asked.id
    assert [one["value"] for one in answer["questions"][0]["choices"]] == [
        "once", "always", "reject", "reject: ",
    ]  # fmt: skip


async def test_a_result_is_read_in_parts(world: World, office: Office) -> None:
    words = "Ä1 " * 10_000
    theirs = await world.delegate(office.service, {"say": words}, by="build")
    mine = await world.delegate(office.service, {"say": "Mine."})
    for one in (theirs, mine):
        await world.ended(one)
    async with office.raw() as raw:
        first = (await raw.ask("read", project=PROJECT, id=theirs.id))["result"]
        second = (await raw.ask("read", project=PROJECT, id=theirs.id, offset=20_000))["result"]
        assert (await raw.ask("read", project=PROJECT, id=mine.id))["result"]["text"] == "Mine."
        assert first["text"] + second["text"] == words
        assert (first["next_offset"], second["next_offset"]) == (20_000, None)
        assert theirs.id in first["title"]
        past = (await raw.ask("read", project=PROJECT, id=theirs.id, offset=40_000))["result"]
        assert (past["text"], past["next_offset"]) == ("", None)
    assert world.now(theirs).is_unread
    assert not world.now(mine).is_unread


async def test_what_cannot_be_meant_is_refused(world: World, office: Office) -> None:
    one = await world.delegate(office.service, HANG)
    async with office.raw() as raw:
        for method, params, code in (
            ("watch", {"directory": "/src/else", "session": "ses_1"}, -32002),
            ("watch", {"directory": DIRECTORY, "columns": 3}, -32602),
            ("entries", {"directory": "/src/else"}, -32002),
            ("read", {"project": PROJECT, "id": one.id}, -32001),
            ("read", {"project": PROJECT, "id": "../../etc/passwd"}, -32001),
            ("read", {"project": "another", "id": one.id}, -32001),
        ):
            answer = await raw.ask(method, **params)
            assert answer["error"]["code"] == code, (method, params, answer)
