"""What every ``Clock`` does."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from datetime import timedelta
from functools import partial

import pytest

from background_agents.ports.clock import Clock

MOMENT = timedelta(milliseconds=20)
"""Long enough to tell an order by, short enough to wait for."""


class ClockContract(ABC):
    """Subclass, name it ``Test...``, give the clock and let time pass on it."""

    pytestmark = pytest.mark.asyncio

    @abstractmethod
    def clock(self) -> Clock:
        """Return a clock, inside a running event loop."""

    @abstractmethod
    async def let_pass(self, clock: Clock, delay: timedelta) -> None:
        """Return when ``delay`` is over on ``clock`` and whoever slept that long goes on."""

    async def test_now_is_in_utc_and_moves_with_time(self) -> None:
        clock = self.clock()
        before = clock.now()
        assert before.utcoffset() == timedelta()
        await self.let_pass(clock, MOMENT)
        # A real loop may wake a hair early, by the resolution of its clock.
        assert clock.now() - before > MOMENT * 0.9

    async def test_a_call_is_made_later_and_never_at_once(self) -> None:
        clock, made = self.clock(), asyncio.Event()
        clock.call_later(timedelta(), made.set)
        assert not made.is_set()
        await self.let_pass(clock, MOMENT)
        assert made.is_set()

    async def test_a_call_is_not_made_before_its_time(self) -> None:
        clock, made = self.clock(), asyncio.Event()
        clock.call_later(timedelta(hours=1), made.set)
        await self.let_pass(clock, MOMENT)
        assert not made.is_set()

    async def test_calls_are_made_in_the_order_of_their_times(self) -> None:
        clock, made = self.clock(), list[int]()
        for number in (3, 1, 2):
            clock.call_later(MOMENT * number, partial(made.append, number))
        await self.let_pass(clock, MOMENT * 5)
        assert made == [1, 2, 3]

    async def test_a_cancelled_call_is_not_made(self) -> None:
        clock, made = self.clock(), list[str]()
        cancelled = clock.call_later(MOMENT, lambda: made.append("cancelled"))
        clock.call_later(MOMENT, lambda: made.append("kept"))
        cancelled.cancel()
        cancelled.cancel()
        await self.let_pass(clock, MOMENT * 3)
        assert made == ["kept"]

    async def test_a_call_may_order_the_next(self) -> None:
        clock, made = self.clock(), asyncio.Event()

        def order_next() -> None:
            clock.call_later(MOMENT, made.set)

        clock.call_later(MOMENT, order_next)
        await self.let_pass(clock, MOMENT * 4)
        assert made.is_set()

    async def test_a_sleeper_wakes_when_its_time_is_over(self) -> None:
        clock = self.clock()
        sleeper = asyncio.create_task(clock.sleep(MOMENT))
        await asyncio.sleep(0)
        assert not sleeper.done()
        await self.let_pass(clock, MOMENT * 3)
        async with asyncio.timeout(5):
            await sleeper

    async def test_a_cancelled_sleeper_leaves_at_once(self) -> None:
        sleeper = asyncio.create_task(self.clock().sleep(timedelta(hours=1)))
        await asyncio.sleep(0)
        sleeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeper
