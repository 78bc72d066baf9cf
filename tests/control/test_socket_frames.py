"""What clients send and do, good and bad: each takes nothing with it but its own question."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from sockets import PROJECT, Office
from world import HANG, World, bash

from background_agents.client.connection import Connection
from background_agents.control import protocol
from background_agents.control import server as control_server
from background_agents.domain.errors import InvalidRequest, NotServed
from background_agents.rpc import framing
from background_agents.rpc.messages import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
)
from background_agents.testing.waiting import Changes
from background_agents.views.json import Sheet


async def test_malformed_frames_are_answered_and_the_connection_lives(office: Office) -> None:
    async with office.raw() as client:
        for data in (b"nonsense\n", b"\xff\xfe\n", b"[" * 5000 + b"\n", b'{"id": []}\n'):
            client.write(data)
            answer = await client.read()
            assert (answer["id"], answer["error"]["code"]) == (None, PARSE_ERROR), data
        client.write(b"\n\n")  # empty lines are none
        assert (await client.ask("about"))["result"]["pid"] == 1


async def test_an_unknown_method_and_wrong_parameters(office: Office) -> None:
    async with office.raw() as client:
        assert (await client.ask("reboot"))["error"]["code"] == METHOD_NOT_FOUND
        for method, params in {
            "peek": {},
            "steer": {"project": PROJECT, "id": 1, "text": "x"},
            "wait": {"project": PROJECT, "ids": ["a"], "limit_s": -1},
            "delegate": {"directory": "/src/project"},
        }.items():
            answer = await client.ask(method, **params)
            assert answer["error"]["code"] == INVALID_PARAMS, method
        endless = await client.ask("wait", project=PROJECT, ids=["a-b-c"], limit_s=1e300)
        assert endless["error"]["code"] == INVALID_PARAMS
        client.send("nobody hears", None)
        assert (await client.ask("about"))["result"]["pid"] == 1


async def test_half_frames_and_many_in_one(office: Office) -> None:
    async with office.raw() as client:
        whole = b'{"jsonrpc":"2.0","id":%d,"method":"about","params":{}}\n'
        for byte in whole % 1:
            client.write(bytes([byte]))
            await client.writer.drain()
        assert (await client.read())["id"] == 1
        client.write(whole % 2 + whole % 3 + (whole % 4)[:20])
        assert {(await client.read())["id"], (await client.read())["id"]} == {2, 3}
    await office.is_alone()  # half a frame at its end is nothing


async def test_an_oversized_frame_is_skipped(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing.FrameDecoder.__init__, "__defaults__", (10_000,))
    async with office.raw() as client:
        client.write(b'"' + b"x" * 100_000 + b'"\n')
        assert (await client.read())["error"]["code"] == INVALID_REQUEST
        assert (await client.ask("about"))["result"]["pid"] == 1

        def too_much(person: Connection) -> Sheet:
            return person.steer(PROJECT, "a-b-c", "x" * 20_000)

        # And a person's program is told instead of waiting for its time to pass.
        with pytest.raises(NotServed, match="a frame of more than 10000 bytes was skipped"):
            await asyncio.wait_for(office.call(too_much), 5)


async def test_a_client_that_vanishes_leaves_nothing_behind(world: World, office: Office) -> None:
    """In the middle of every call that waits; the run itself goes on."""
    delegation = await world.delegate(office.service, HANG)
    child = await world.working(delegation)
    await world.settle()
    before = asyncio.all_tasks()
    which = {"project": PROJECT, "id": delegation.id}
    for method, params in {
        "follow": which,
        "wait": {"project": PROJECT, "ids": [delegation.id], "limit_s": 1000},
        "change": {**which, "version": 99, "limit_s": 1000},
    }.items():
        async with office.raw() as client:
            client.send(method, 7, **params)
            assert (await client.ask("about"))["id"] == 1  # so the other one has begun
            assert len(asyncio.all_tasks()) > len(before) + 1
        await office.is_alone()
        await world.settle()
        assert asyncio.all_tasks() <= before
    child.write("Still here.")
    assert (await office.call(lambda one: one.peek(PROJECT, delegation.id))).text == "Still here."


async def test_many_clients_at_once(world: World, office: Office) -> None:
    """Each hears its own answers, and those that follow hear everything."""
    delegation = await world.delegate(office.service, HANG)
    child = await world.working(delegation)
    heard = [""] * 12
    changes, loop = Changes(), asyncio.get_running_loop()

    def follow(number: int) -> Callable[[Connection], Sheet]:
        def followed(one: Connection) -> Sheet:
            for wrote in one.follow(PROJECT, delegation.id):
                heard[number] += wrote.text
                loop.call_soon_threadsafe(changes.tell)
            return one.stop(PROJECT, delegation.id)  # as it is: it has ended

        return followed

    following = [asyncio.create_task(office.call(follow(number))) for number in range(12)]
    looks = await asyncio.gather(*(office.call(Connection.live) for _ in range(12)))
    assert {one.delegation.id for look in looks for one in look} == {delegation.id}
    child.write("One. ")
    await changes.until(lambda: heard == ["One. "] * 12)
    child.write("Two. ")
    await changes.until(lambda: heard == ["One. Two. "] * 12)
    child.finish()
    for sheet in await asyncio.gather(*following):
        assert (sheet.id, sheet.state) == (delegation.id, "completed")


async def test_who_follows_and_never_reads_is_dropped(
    world: World,
    office: Office,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its memory is bounded, and the run, the service and other clients feel nothing of it."""
    monkeypatch.setattr(control_server, "UNREAD_BYTES", 200_000)
    delegation = await world.delegate(office.service, HANG)
    child = await world.working(delegation)
    async with office.raw() as client:
        assert (await client.ask("about"))["id"] == 1
        # Whoever reads nothing reads no frame, however small its own buffer is.
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send("follow", 2, project=PROJECT, id=delegation.id)
        await client.writer.drain()
        await world.settle()
        for _ in range(200):
            child.write("x" * 10_000)
            await world.settle()
        await office.is_alone()
    assert "a client that reads nothing was dropped" in caplog.text
    assert "socket.send() raised" not in caplog.text
    peeked = await office.call(lambda one: one.peek(PROJECT, delegation.id))
    assert peeked.cut + len(peeked.text) == 2_000_000
    assert (await office.service.stop(world.supervisor, delegation.id)).is_terminal


async def test_who_reads_is_not_dropped_for_a_long_beginning(
    world: World, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written before somebody began to follow is one frame of any size."""
    monkeypatch.setattr(control_server, "UNREAD_BYTES", 200_000)
    delegation = await world.delegate(office.service, HANG)
    child = await world.working(delegation)
    child.write("y" * 3_000_000)
    async with office.raw() as client:
        client.send("follow", 2, project=PROJECT, id=delegation.id)
        await client.writer.drain()
        await world.settle()
        for _ in range(20):
            child.write("Z" * 1_000)
            await world.settle()
        child.finish()
        got = await asyncio.wait_for(client.reader.readuntil(b'"completed"'), 10)
    assert got.count(b"y") >= 3_000_000
    assert got.count(b"Z") == 20_000


async def test_closing_the_service_ends_what_clients_wait_for(world: World, office: Office) -> None:
    delegation = await world.delegate(office.service, HANG)
    await world.working(delegation)
    awaited = protocol.Awaited(project=PROJECT, ids=(delegation.id,), limit_s=1000)
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    def wait(one: Connection) -> object:
        one.about()
        loop.call_soon_threadsafe(begun.set)
        return one.wait(awaited, lambda *_: None)

    waiting = asyncio.create_task(office.call(wait))
    await begun.wait()
    await office.server.close()
    with pytest.raises(NotServed, match="has ended meanwhile"):
        await waiting


async def test_an_unexpected_error_is_logged_and_names_its_kind(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_delegation: str) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(office.service.user, "look", broken)
    with pytest.raises(NotServed, match="internal error: ZeroDivisionError"):
        await office.call(lambda one: one.peek(PROJECT, "a-b-c"))
    assert "answering 'peek' failed" in caplog.text


async def test_another_projects_delegation_is_not_found(office: Office) -> None:
    with pytest.raises(InvalidRequest, match="a-b-c has just ended or was taken over"):
        await office.call(lambda one: one.peek("p2", "a-b-c"))
    with pytest.raises(InvalidRequest, match="No delegation of this project is called 'a-b-c'"):
        await office.call(lambda one: one.peek(PROJECT, "a-b-c"))


async def test_whose_time_is_over_hears_how_it_stands(world: World, office: Office) -> None:
    """A wait asks for its limit of the service, whose clock decides."""
    delegation = await world.delegate(office.service, bash("true"), HANG)
    await world.working(delegation)
    async with office.raw() as client:
        client.send("wait", 2, project=PROJECT, ids=[delegation.id], limit_s=5)
        assert (await client.ask("about"))["id"] == 1  # so the other one has begun
        await world.settle()
        world.advance(seconds=5)
        answer = await client.read()
    (sheet,) = msgspec.convert(answer["result"], list[Sheet])
    assert (sheet.state, sheet.ended_at) == ("running", None)
