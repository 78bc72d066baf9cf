"""Many supervisors at once, each followed by the next: the load of a soak, and its ledger.

A play that does not come to its end is a broken promise and is told at once; whether the
others' delegations are whole is judged at the end, from what is left on disk.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from background_agents.domain.status import Status
from background_agents.ports.runtime import RuntimeEvent
from lab.faults.stage import ENDING, NAMED, Stage
from lab.faults.verdict import Verdict, evidence
from lab.soak.plays import PLAYS, Play
from lab.soak.seat import Seat

PLAY_LIMIT_S = 120.0
"""A play takes a second or two, with some kills in between ten."""

KEPT = 200
"""Seats whose sessions stay after their play, to see what comes to them late: some ten seconds
of the crowd. Then their users delete them, which the service hears of, too."""

MOST_BROKEN = 10
"""After so many there is nothing more to be learned."""


@dataclass(frozen=True)
class Seen:
    """What a supervisor that has left was told, and what it may have been told."""

    session: str
    play: str
    told: tuple[str, ...]
    allowed: frozenset[Status]
    count: int


class Crowd:
    """Keeps a number of supervisors playing."""

    def __init__(self, stage: Stage, seed: int, width: int) -> None:
        self.broken: list[str] = []
        """What went wrong while it went on."""
        self.begun: Counter[str] = Counter()
        """How often each play was begun."""
        self.left: list[Seen] = []
        """What the supervisors were told that have left."""
        self._stage = stage
        self._dice = [Random(f"{seed}, supervisor {number}") for number in range(width)]
        self._seats: dict[str, Seat] = {}
        self._staying: deque[tuple[Seat, Play]] = deque()
        self._sent_as: dict[str, set[str]] = defaultdict(set)
        self._told = 0
        stage.runtime.asking.add("bash")
        stage.runtime.description = ("A better title", "And a summary.")
        stage.runtime.subscribe(self._hear)

    @property
    def told(self) -> int:
        """How many delegations have ended and were told."""
        return self._told

    async def play(self, goes_on: Callable[[], bool]) -> None:
        """Play on all seats for as long as that; return when the last play is over."""
        await asyncio.gather(*(self._play(dice, goes_on) for dice in self._dice))

    def clear(self) -> None:
        """See all supervisors out; nothing more can come to them."""
        while self._staying:
            self._see_out()

    async def judge(self) -> Verdict:
        """Judge all that was ever delegated, once no service runs any more."""
        whole = Verdict(lost=list(self.broken))
        async with evidence(self._stage.data) as found:
            for seen in self.left:
                args = (seen.told, seen.allowed, seen.count)
                whole.add(await found.judge(seen.session, *args), f"{seen.play}: ")
            whole.zombies += await found.due()
        whole.duplicated += [
            f"the ending of {name} was sent as {len(messages)} messages"
            for name, messages in self._sent_as.items()
            if len(messages) > 1
        ]
        return whole

    async def _play(self, dice: Random, goes_on: Callable[[], bool]) -> None:
        shares = [play.share for play in PLAYS]
        while goes_on() and len(self.broken) < MOST_BROKEN:
            (play,) = dice.choices(PLAYS, shares)
            seat = Seat(self._stage)
            self._seats[seat.session] = seat
            self.begun[play.name] += 1
            try:
                async with asyncio.timeout(PLAY_LIMIT_S):
                    await play.act(seat, dice)
            except (AssertionError, TimeoutError, ValueError) as error:
                told = (
                    f"{play.name} of {seat.session}, {seat.names}: {type(error).__name__} {error}"
                )
                self.broken.append(told)
                print(f"  broken: {told}", flush=True)
            self._told += len(seat.names)
            self._staying.append((seat, play))
            if len(self._staying) > KEPT:
                self._see_out()

    def _see_out(self) -> None:
        """Note what the oldest supervisor has been told, and delete its session."""
        seat, play = self._staying.popleft()
        endings = tuple(seat.endings())
        self.left.append(Seen(seat.session, play.name, endings, play.endings, len(seat.names)))
        self.broken += [f"{one} still runs" for one in seat.at_work()]
        self.broken += [f"{one} is still asked" for one in seat.asked()]
        seat.leave()
        self._seats.pop(seat.session, None)
        self._book()

    def _book(self) -> None:
        """Note as which messages endings were sent, also to supervisors that have left."""
        channel = self._stage.channel
        for message in channel.attempts:
            for _, text in message.parts:
                if text.startswith(ENDING):
                    self._sent_as[NAMED.findall(text)[0]].add(message.message)
        channel.attempts.clear()
        channel.toasts.clear()

    def _hear(self, event: RuntimeEvent) -> None:
        root = self._stage.runtime.ancestors(event.session)[-1]
        if (seat := self._seats.get(root)) is not None:
            seat.hear(event)
