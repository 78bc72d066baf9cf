"""The soak in short: it loses nothing, and it notices what a service keeps for ever."""

from __future__ import annotations

from dataclasses import replace as changed
from pathlib import Path

import pytest
from msgspec.structs import replace

from lab.soak import scripted
from lab.soak.report import Report, markdown
from lab.soak.samples import MIB, Rest, Sample, Series, leaks

SEED = 4
"""Any one would do; the same one each time makes a failure easier to look at."""

LONG_S, MANY_S = 4.0, 8.0

FEWEST, FEWEST_KILLS = 50, 2
"""A tenth of what a slow machine does in that time."""


@pytest.mark.timeout(180)
async def test_a_service_that_works_all_the_time_holds_no_more_than_before(tmp_path: Path) -> None:
    """Whatever its delegations do; and each is ended, told and stored once."""
    part, series = await scripted.long_life(tmp_path, LONG_S, SEED)
    assert part.broken == []
    assert part.delegations >= FEWEST
    told = markdown(Report(SEED, 0.1, [part], {part.name: series}, 2))
    assert f"{part.delegations:,} delegations and 0 kills" in told


@pytest.mark.timeout(180)
async def test_services_that_are_killed_at_random_lose_nothing(tmp_path: Path) -> None:
    """Lost 0, duplicated 0, zombies 0."""
    part = await scripted.many_lives(tmp_path, MANY_S, SEED)
    assert part.broken == []
    assert part.kills >= FEWEST_KILLS
    assert part.delegations >= FEWEST


@pytest.mark.timeout(120)
async def test_what_a_service_keeps_for_ever_is_noticed(tmp_path: Path) -> None:
    """A task, a descriptor and a page of memory that stay behind at each call."""
    async with scripted.crowded(tmp_path, SEED) as (stage, crowd):
        await stage.trouble(leaking=True)
        part, _ = await scripted.measured(stage, crowd, LONG_S)
    found = " ".join(part.broken)
    for what in ("tasks", "descriptors", "blocks", "heap"):
        assert f"{what} at rest grew by" in found


@pytest.mark.timeout(120)
async def test_what_one_of_many_supervisors_was_not_told_is_noticed(tmp_path: Path) -> None:
    """And what one was told twice, under two ids."""
    async with scripted.crowded(tmp_path, SEED) as (stage, crowd):
        await crowd.play(scripted.lasting(1.0))
        await scripted.finish(stage, crowd)
    assert str(await crowd.judge()) == "kept"
    crowd.left[0] = changed(crowd.left[0], told=crowd.left[0].told[1:])
    crowd.left[1] = changed(crowd.left[1], told=crowd.left[1].told * 2)
    verdict = await crowd.judge()
    assert [text.partition(" was ")[2] for text in verdict.lost] == ["never told"]
    assert {text.partition(" was ")[2] for text in verdict.duplicated} == {"told 2 times"}
    assert verdict.zombies == []


REST = Rest(delegations=100, rss=40 * MIB, descriptors=11, tasks=5, blocks=100_000, heap=8 * MIB)

WORKING = Sample(
    at_s=0,
    delegations=100,
    rss=42 * MIB,
    descriptors=12,
    threads=5,
    tasks=40,
    database=10 * MIB,
    wal=4 * MIB,
)

LATER = replace(REST, delegations=10_100)


def series(last: Sample = WORKING, after: Rest = LATER) -> Series:
    """Return a life whose last third was so, and at whose end it rested so."""
    return Series(REST, [WORKING] * 20 + [last] * 10, after)


def test_a_service_that_swings_a_little_is_flat() -> None:
    """Medians are no more exact than that, and a database grows by right."""
    last = replace(WORKING, rss=44 * MIB, tasks=45, descriptors=13, database=100 * MIB)
    after = replace(LATER, rss=44 * MIB, blocks=102_000, heap=9 * MIB, tasks=4, descriptors=10)
    assert leaks(series(last, after)) == []


@pytest.mark.parametrize(
    ("last", "after", "what"),
    [
        (replace(WORKING, rss=51 * MIB), LATER, "resident bytes"),
        (replace(WORKING, tasks=110), LATER, "tasks under load"),
        (replace(WORKING, descriptors=20), LATER, "descriptors under load"),
        (replace(WORKING, threads=100), LATER, "threads"),
        (replace(WORKING, wal=20 * MIB), LATER, "write-ahead log"),
        (WORKING, replace(LATER, tasks=6), "tasks at rest"),
        (WORKING, replace(LATER, descriptors=12), "descriptors at rest"),
        (WORKING, replace(LATER, blocks=110_000), "blocks at rest"),
        (WORKING, replace(LATER, heap=12 * MIB), "heap at rest"),
    ],
)
def test_whatever_grows_is_told(last: Sample, after: Rest, what: str) -> None:
    """Alone, in one sentence."""
    (told,) = leaks(series(last, after))
    assert what in told
