"""Reading a result, and listing what there is."""

from __future__ import annotations

import re

import pytest
from world import World

from background_agents.domain.errors import InvalidRequest, NotDelegable, UnknownDelegation
from background_agents.domain.order import Order
from background_agents.testing.contracts.samples import registered
from background_agents.views import errors
from background_agents.views import model as for_model
from lab.harness.service import Service

HANG: dict[str, object] = {"hang": True}


async def test_a_result_is_read_and_marked_read(world: World, service: Service) -> None:
    delegation = await world.delegate(service, {"say": "It is PKCE."})
    await world.ended(delegation)
    assert ", unread]" in for_model.listing(await service.list(world.supervisor))
    text = for_model.reading(await service.read(world.supervisor, delegation.id))
    assert text.endswith("It is PKCE.")
    assert world.now(delegation).read_at is not None
    assert "unread" not in for_model.listing(await service.list(world.supervisor))


async def test_reading_again_changes_nothing(world: World, service: Service) -> None:
    delegation = await world.delegate(service, {"say": "It is PKCE."})
    await world.notified()
    await world.received(delegation)
    await service.read(world.supervisor, delegation.id)
    first = world.now(delegation)
    await service.read(world.supervisor, delegation.id)
    assert world.now(delegation) == first


async def test_one_that_runs_says_so_and_stays_unread(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    await world.working(delegation)
    text = for_model.reading(await service.read(world.supervisor, delegation.id))
    assert text.startswith(f"{delegation.id} is running (")
    assert "\n" not in text
    assert world.now(delegation).read_at is None


async def test_a_long_result_comes_in_pages_that_add_up(world: World, service: Service) -> None:
    delegation = await world.delegate(service, {"say": "Zeile für Zeile.\n", "repeat": 8000})
    await world.ended(delegation)
    whole, offset, seen = await world.artifact(delegation), 0, ""
    while offset is not None:
        found = await service.read(world.supervisor, delegation.id, offset)
        page = for_model.reading(found)
        assert len(page.encode()) < 50_000
        assert page.count("\n") < 2_000
        text, _, further = page.partition("\n\n[Characters ")
        seen += text
        named = re.search(r"offset=(\d+)", further)
        offset = int(named[1]) if named else None
    assert seen == whole


async def test_an_offset_past_the_end_says_how_long_it_is(world: World, service: Service) -> None:
    delegation = await world.delegate(service, {"say": "Short."})
    await world.ended(delegation)
    text = for_model.reading(await service.read(world.supervisor, delegation.id, 10**9))
    assert "past it" in text


@pytest.mark.parametrize(
    "given",
    [
        "",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        "brave-amber-otter/../x",
        "brave\x00amber-otter",
        "brave-amber-otter\n",
        "BRAVE-AMBER-OTTER",
        "x" * 10_000,
        "brave-amber",
    ],
)
async def test_what_is_no_id_is_refused_in_a_sentence(
    world: World, service: Service, given: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await service.read(world.supervisor, given)
    assert len(errors.for_model(refused.value)) < 300
    assert "\x00" not in errors.for_model(refused.value)


async def test_an_id_in_quotes_is_understood(world: World, service: Service) -> None:
    delegation = await world.delegate(service, HANG)
    for given in (f"`{delegation.id}`", f' "{delegation.id}" '):
        assert (await service.read(world.supervisor, given)).delegation.id == delegation.id


async def test_a_negative_offset_is_refused_and_nothing_is_read(
    world: World, service: Service
) -> None:
    delegation = await world.delegate(service, {"say": "Short."})
    await world.ended(delegation)
    with pytest.raises(InvalidRequest, match="offset is -1"):
        await service.read(world.supervisor, delegation.id, -1)
    assert world.now(delegation).read_at is None


async def test_another_root_session_sees_nothing(world: World, service: Service) -> None:
    delegation = await world.delegate(service, {"say": "Mine."})
    await world.ended(delegation)
    stranger = world.runtime.add_session()
    with pytest.raises(UnknownDelegation, match=delegation.id):
        await service.read(stranger, delegation.id)
    assert (await service.list(stranger)).total == 0


async def test_a_child_may_read_what_its_root_delegated(world: World, service: Service) -> None:
    delegation = await world.delegate(service, {"say": "Shared."})
    child = (await world.ended(delegation)).session
    assert (await service.read(child or "", delegation.id)).text is not None


async def test_so_may_one_whose_parent_the_runtime_does_not_know(
    world: World, service: Service
) -> None:
    """Not every runtime has kept it when it began anew; the store has."""
    delegation = await world.delegate(service, {"say": "Shared."})
    child = (await world.ended(delegation)).session or ""
    world.runtime.sessions[child].parent = None
    assert (await service.read(child, delegation.id)).text is not None
    with pytest.raises(NotDelegable):
        await service.delegate(child, Order(prompt="More.", agent="build"))


async def test_a_list_is_newest_first(world: World, service: Service) -> None:
    names = [(await world.delegate(service, HANG)).id for _ in range(3)]
    text = for_model.listing(await service.list(world.supervisor))
    assert sorted(names, key=text.index) == list(reversed(names))
    assert text.startswith("3 delegations, newest first:")


async def test_an_empty_list_says_so(world: World, service: Service) -> None:
    assert "Nothing has been delegated" in for_model.listing(await service.list(world.supervisor))


async def test_a_list_of_ten_thousand_is_short_and_says_how_many(
    world: World, service: Service
) -> None:
    for number in range(10_000):
        name = f"brave-amber-otter-{number}"
        await world.store.register(
            registered(name, root=world.supervisor, prompt="x" * 500, owner="1:1")
        )
    text = for_model.listing(await service.list(world.supervisor))
    assert len(text) <= 4_000
    assert text.startswith("10,000 delegations")
    assert text.index("brave-amber-otter-9999 ") < text.index("brave-amber-otter-9998 ")
    assert "older" in text.splitlines()[-1]
