"""One working tree while agents work in it: who has what open, and whose is what looks find.

A look at the tree ends one interval and begins the next. What it finds belongs to the interval that
it ends, and is given to those whose commands ran in it, minus what known writes explain. What is
being written just now by a tool that will tell is left for later.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from background_agents.domain.changes import Delta, Image, Segment
from background_agents.domain.errors import DelegationError, NotSeen
from background_agents.ports.changes import ChangeJournal, WorkingTree
from background_agents.ports.clock import Clock
from background_agents.service.changes.attribution import (
    NOBODY,
    Interval,
    Write,
    certainty,
    is_explained,
    unexplained,
)
from background_agents.service.changes.calls import Call

log = logging.getLogger(__name__)


@dataclass
class Open:
    """A call that may write, from before it runs until it is accounted for."""

    call: Call
    owner: str
    at_s: float
    names: Mapping[str, str]
    """The paths that it is about to write: as a journal names them, and as the call does."""
    before: dict[str, Image] = field(default_factory=dict)
    is_closing: bool = False

    @property
    def is_shell(self) -> bool:
        """Whether nobody can know beforehand where it writes."""
        return not self.names


@dataclass
class Held:
    """A difference of which it is not known yet who made it."""

    delta: Delta
    interval: Interval


class Watched:
    """A tree, with what is open in it."""

    def __init__(self, tree: WorkingTree, journal: ChangeJournal, clock: Clock) -> None:
        self.tree = tree
        self.open: dict[str, Open] = {}
        self.missed: list[Delta] | None = None
        """What the first look found: nobody saw it happen."""
        self.keeps_missed = False
        """Whether somebody may have been at work before."""
        self._journal = journal
        self._clock = clock
        self._lock = asyncio.Lock()
        self._interval = Interval()
        self._began: datetime = clock.now()
        self._writes: list[Write] = []
        self._held: dict[str, Held] = {}
        self._asked = self._served = 0
        self._is_told = False

    @property
    def has_commands(self) -> bool:
        """Whether a command of a delegation is running."""
        return any(one.is_shell and one.owner != NOBODY for one in self.open.values())

    def begin(self, one: Open) -> None:
        """Count a call as open; one whose look was not waited for makes the interval unsure."""
        self.open[one.call.key] = one
        if one.is_shell:
            self._interval.owners.add(one.owner)

    def begin_late(self, one: Open) -> None:
        """Count a command as open that runs although the look before it goes on."""
        self.begin(one)
        self._interval.is_unsure = True

    def end(self, one: Open) -> None:
        """Forget a call; once none is open, nothing of what was known is needed any more."""
        self.open.pop(one.call.key, None)
        if not self.open and not self._lock.locked():
            self._writes.clear()
            self._held.clear()

    async def wrote(self, owner: str, segments: Iterable[Segment]) -> None:
        """Note what a tool has told of, and settle what waited for that."""
        now_s = self._clock.monotonic_s()
        self._writes += [Write(owner, one, now_s) for one in segments]
        if self._held and not self._lock.locked():
            await self._give(self._free())

    async def look(self) -> None:
        """Look at the tree as it is from now on, together with whoever else wants it."""
        self._asked += 1
        mine = self._asked
        async with self._lock:
            if self._served < mine:
                serving = self._asked
                await self._look()
                self._served = serving

    async def _look(self) -> None:
        began_s, began = self._clock.monotonic_s(), self._clock.now()
        closing = [one for one in self.open.values() if one.is_closing and one.is_shell]
        keep = bool(self._interval.delegations) or (self.missed is None and self.keeps_missed)
        try:
            deltas, is_alone = await asyncio.to_thread(self._see, keep)
            self._interval.is_unsure |= not is_alone
        except DelegationError as error:
            self._tell(error)
            deltas = []
        if self.missed is None:
            self.missed = deltas
        self._hold(deltas, self._interval)
        await self._give(self._free(began_s))
        for one in closing:
            self.open.pop(one.call.key, None)
        running = {one.owner for one in self.open.values() if one.is_shell}
        # What began while this went on may have been seen by it, or not.
        self._interval = Interval(running)
        self._began = began
        first_s = min((one.at_s for one in self.open.values()), default=began_s)
        kept_s = min(first_s, began_s)
        self._writes = [
            one for one in self._writes if one.at_s >= kept_s or one.segment.path in self._held
        ]

    def _see(self, keep: bool) -> tuple[list[Delta], bool]:
        return self.tree.look(keep=keep), self.tree.is_alone

    def _tell(self, error: DelegationError) -> None:
        """Say once that this tree is not seen; what tools tell of is known all the same."""
        if not self._is_told:
            log.warning("%s", error)
        self._is_told = isinstance(error, NotSeen)

    def _hold(self, deltas: Iterable[Delta], interval: Interval) -> None:
        for held in self._held.values():
            held.interval = held.interval.and_then(interval)
        for one in deltas:
            before = self._held.get(one.path)
            whole = Delta(one.path, before.delta.before, one.after) if before else one
            both = before.interval if before else interval
            self._held[one.path] = Held(whole, both)

    def _free(self, began_s: float | None = None) -> list[Held]:
        """Take what can be given to somebody by now: what no tool is about to tell of."""
        busy = {name for one in self.open.values() for name in one.names}
        free = []
        for path, held in list(self._held.items()):
            mine = [one for one in self._writes if one.segment.path == path]
            is_new = began_s is not None and any(one.at_s >= began_s for one in mine)
            if path in busy:
                continue
            if is_new and not is_explained(held.delta, [one.segment for one in mine]):
                continue
            free.append(self._held.pop(path))
        return free

    async def _give(self, held: Iterable[Held]) -> None:
        """Write differences into the journals of those that they may be by."""
        found = [one for one in held if one.interval.delegations]
        if not found:
            return
        back = await asyncio.to_thread(self._taken_back)
        given: dict[str, list[Segment]] = defaultdict(list)
        now = self._clock.now()
        for one in found:
            path = one.delta.path
            mine = [write for write in self._writes if write.segment.path == path]
            known = [write.segment for write in mine] + [seg for seg in back if seg.path == path]
            for rest in unexplained(one.delta, sorted(known, key=lambda segment: segment.at)):
                for owner in one.interval.delegations:
                    sure = certainty(rest, one.interval, mine, owner)
                    given[owner].append(
                        Segment(
                            at=now, path=path, before=rest.before, after=rest.after,
                            certainty=sure, by=self._by(owner),
                        )
                    )  # fmt: skip
        for owner, segments in given.items():
            await self._store(partial(self._journal.add, owner, segments))

    def _by(self, owner: str) -> str:
        """Return the tool that a delegation's command runs by."""
        tools = [one.call.tool for one in self.open.values() if one.owner == owner and one.is_shell]
        return tools[-1] if tools else "shell"

    def _taken_back(self) -> list[Segment]:
        try:
            return self._journal.taken_back(self._began)
        except DelegationError as error:
            log.warning("what was undone is not known: %s", error)
            return []

    async def _store(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        except DelegationError as error:
            log.error("a change is not in its journal: %s", error)
