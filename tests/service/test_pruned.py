"""A human may prune what has ended while a service that ran it still lives."""

from __future__ import annotations

import logging

import pytest
from world import World

from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import UnknownDelegation
from background_agents.ports.supervisor import OutgoingMessage
from lab.harness.service import Service


@pytest.fixture
def no_warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


async def test_one_that_is_pruned_is_unknown(world: World, service: Service) -> None:
    delegation = await world.delegate(service, {"say": "It is PKCE."})
    await world.ended(delegation)
    world.store.prune(delegation.id)
    with pytest.raises(UnknownDelegation):
        await service.read(world.supervisor, delegation.id)
    assert (await service.list(world.supervisor)).total == 0


async def test_one_that_is_pruned_while_it_is_read_is_read(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text was there; that it cannot be marked is no news to the model."""
    delegation = await world.delegate(service, {"say": "It is PKCE."})
    await world.ended(delegation)
    read = world.artifacts.read

    async def read_and_prune(one: Delegation) -> str:
        text = await read(one)
        world.store.prune(one.id)
        return text

    monkeypatch.setattr(world.artifacts, "read", read_and_prune)
    found = await service.read(world.supervisor, delegation.id)
    assert found.text is not None
    assert found.text.endswith("It is PKCE.")
    assert found.delegation.read_at is None


async def test_one_that_is_pruned_while_its_notice_travels_harms_nothing(
    world: World,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    no_warnings: pytest.LogCaptureFixture,
) -> None:
    """The notice arrives, nothing is logged as a fault, and the next one arrives too."""
    deliver = world.channel.deliver

    async def deliver_and_prune(message: OutgoingMessage) -> None:
        await deliver(message)
        for one in pruned:
            world.store.prune(one.id)
        pruned.clear()

    monkeypatch.setattr(world.channel, "deliver", deliver_and_prune)
    pruned = [await world.delegate(service, {"say": "It is PKCE."})]
    await world.notified()
    await world.settle()
    again = await world.delegate(service, {"say": "And so it is."})
    await world.ended(again)
    await world.notified(2)
    assert no_warnings.messages == []
