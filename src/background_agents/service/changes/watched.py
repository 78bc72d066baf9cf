"""One working tree while agents work in it: who has what open, and whose is what looks find.

A look at the tree ends one interval and begins the next. What it finds belongs to the interval that
it ends, and is given to those whose commands ran in it, minus what known writes explain. What is
being written just now by a tool that will tell is left for later.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    is_sure,
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
    tools: dict[str, str]
    """The tool by which each owner has run a command."""
    since: datetime
    """When the interval began in which it was found."""


class Watched:
    """A tree, with what is open in it."""

    def __init__(self, tree: WorkingTree, journal: ChangeJournal, clock: Clock) -> None:
        self.tree = tree
        self.open: dict[str, Open] = {}
        self.accounting = asyncio.Lock()
        """Held while what a tool has written goes into a journal: one after the other."""
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

    async def end(self, one: Open, segments: Sequence[Segment] = ()) -> None:
        """Forget a call, with what its tool has told of, and settle what waited for that."""
        self.open.pop(one.call.key, None)
        now_s = self._clock.monotonic_s()
        self._writes += [Write(one.owner, segment, now_s) for segment in segments]
        if not self._lock.locked():  # else the look that goes on does it
            await self._settle()

    def is_contested(self, one: Open, name: str) -> bool:
        """Return whether others may have written to a path while a call was open."""
        owners = set(self._interval.owners)
        owners |= {other.owner for other in self.open.values() if other.is_shell}
        owners |= {other.owner for other in self.open.values() if name in other.names}
        owners |= {
            write.owner
            for write in self._writes
            if write.segment.path == name and write.at_s >= one.at_s
        }
        if (held := self._held.get(name)) is not None:
            owners |= held.interval.owners
        return bool(owners - {one.owner})

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
        keep = bool(self._interval.delegations)
        try:
            deltas, is_alone = await asyncio.to_thread(self._see, keep)
            self._interval.is_unsure |= not is_alone
        except DelegationError as error:
            self._tell(error)
            deltas = []
        self._hold(deltas, self._interval)
        for one in closing:
            self.open.pop(one.call.key, None)
        # What began while this went on may have been seen by it, or not.
        self._interval = Interval({one.owner for one in self.open.values() if one.is_shell})
        self._began = began
        await self._settle(began_s)

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
        tools = {one.owner: one.call.tool for one in self.open.values() if one.is_shell}
        for one in deltas:
            before = self._held.get(one.path)
            if before is None:
                self._held[one.path] = Held(one, interval, tools, self._began)
            else:
                before.delta = Delta(one.path, before.delta.before, one.after)
                before.tools |= tools

    async def _settle(self, began_s: float | None = None) -> None:
        """Give what can be given by now, and forget what nobody needs any more."""
        await self._give(self._free(began_s))
        needed_s = [one.at_s for one in self.open.values()]
        if began_s is not None:
            needed_s.append(began_s)
        since_s = min(needed_s, default=math.inf)
        self._writes = [
            one for one in self._writes if one.at_s >= since_s or one.segment.path in self._held
        ]

    def _free(self, began_s: float | None) -> list[Held]:
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
        back = await asyncio.to_thread(self._taken_back, min(one.since for one in found))
        given: dict[str, list[Segment]] = defaultdict(list)
        for one in found:
            for owner in one.interval.delegations:
                given[owner] += self._by_owner(one, owner, back)
        for owner, segments in given.items():
            await self._store(partial(self._journal.add, owner, segments))

    def _by_owner(self, held: Held, owner: str, back: Iterable[Segment]) -> Iterator[Segment]:
        """Yield what of a difference may be by one delegation.

        What others' tools have told of is theirs only if it is sure; its own is known already.
        """
        path = held.delta.path
        writes = [one for one in self._writes if one.segment.path == path]
        known = [one.segment for one in writes if one.owner == owner or is_sure(one.segment)]
        known += [one for one in back if one.path == path]
        for rest in unexplained(held.delta, sorted(known, key=lambda one: one.at)):
            yield Segment(
                at=self._clock.now(),
                path=path,
                before=rest.before,
                after=rest.after,
                certainty=certainty(rest, held.interval, writes, owner),
                by=held.tools.get(owner, "shell"),
            )

    def _taken_back(self, since: datetime) -> list[Segment]:
        try:
            return self._journal.taken_back(since)
        except DelegationError as error:
            log.warning("what was undone is not known: %s", error)
            return []

    async def _store(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(work)
        except DelegationError as error:
            log.error("a change is not in its journal: %s", error)
