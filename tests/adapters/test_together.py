"""Work that waits together is done together, and what goes wrong with one is that one's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from background_agents.adapters.files.together import MOST_TOGETHER, MOST_TRIPS, Together


class Worker:
    """Waits in each trip until it is let go."""

    def __init__(self) -> None:
        self.trips: list[list[int]] = []
        self.go = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, items: Sequence[int]) -> list[Exception | None]:
        with self._lock:
            self.trips.append(list(items))
        assert self.go.wait(10)
        return [ValueError(f"{one} is odd") if one % 2 else None for one in items]


@pytest.fixture
def worker() -> Worker:
    return Worker()


async def test_what_comes_meanwhile_goes_along_next_time(worker: Worker) -> None:
    together = Together(worker)
    count = MOST_TRIPS + MOST_TOGETHER + 10
    tasks = [asyncio.create_task(together.do(2 * number)) for number in range(count)]
    await asyncio.sleep(0)
    worker.go.set()
    await asyncio.gather(*tasks)
    # Which thread is first is nobody's business; what each was given is.
    sizes = sorted(map(len, worker.trips))
    assert sizes == sorted([*[1] * MOST_TRIPS, MOST_TOGETHER, 10])
    assert sorted(one for trip in worker.trips for one in trip) == [2 * n for n in range(count)]


async def test_an_error_reaches_its_own_caller_alone(worker: Worker) -> None:
    worker.go.set()
    together = Together(worker)
    found = await asyncio.gather(*(together.do(n) for n in range(20)), return_exceptions=True)
    assert [str(one) for one in found if one is not None] == [
        f"{n} is odd" for n in range(1, 20, 2)
    ]


async def test_one_that_is_cancelled_is_done_all_the_same(worker: Worker) -> None:
    together = Together(worker)
    tasks = [asyncio.create_task(together.do(2 * number)) for number in range(MOST_TRIPS + 2)]
    await asyncio.sleep(0)
    tasks[-1].cancel()
    worker.go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[-1], asyncio.CancelledError)
    await together.do(1000)
    assert 2 * (MOST_TRIPS + 1) in [one for trip in worker.trips for one in trip]


async def test_work_that_fails_as_a_whole_fails_for_all() -> None:
    def fail(_: Sequence[int]) -> list[Exception | None]:
        raise RuntimeError("No disk.")

    together = Together(fail)
    for _ in range(MOST_TRIPS + 1):  # no trip is lost by it
        with pytest.raises(RuntimeError, match=r"No disk\."):
            await together.do(1)
