"""Writes into journals what delegations change, from what hosts tell of calls of tools.

A call is told before it runs and after it has ended. Where it is known what it writes, images are
taken at both moments; around others the whole tree is looked at. Whose a call is, is told by the
session that makes it; what nobody's delegation does is noted too, so that it is counted to none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial

from background_agents.domain.change_sums import sum_of
from background_agents.domain.changes import (
    Certainty,
    Changes,
    Delta,
    Image,
    Segment,
    Window,
)
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import DelegationError
from background_agents.ports.changes import WorkingTree
from background_agents.service.changes.attribution import NOBODY, is_same
from background_agents.service.changes.calls import Call, Written
from background_agents.service.changes.watched import Open, Watched
from background_agents.service.context import ProjectContext
from background_agents.service.tasks import Tasks

log = logging.getLogger(__name__)

LOOK_LIMIT_S = 0.25
"""How long a command waits for the look before it; after 0.3 s hosts go on without us."""

MOMENT_S = 5.0
"""A tool that took longer has waited for its user. One that writes whole files overwrites what
somebody else has changed meanwhile; any other one proves itself by what it has replaced."""

CLOSE_LIMIT_S = 1.0
"""How long the end of this process waits for looks; it is killed after two more seconds."""

END_LIMIT_S = 30.0
"""How long an ending waits for looks: at 50,000 files 0.1 s each, the first one some seconds."""


class Recorder:
    """The changes of one project's delegations, as far as this process follows them."""

    def __init__(self, context: ProjectContext, tasks: Tasks) -> None:
        self._context = context
        self._tasks = tasks
        self._watched: dict[str, Watched] = {}
        """By the tops of their trees."""
        self._trees: dict[str, Watched] = {}
        """The same, by the directories that are in them."""
        self._closing: dict[str, set[asyncio.Task[None]]] = {}
        self._adopting: dict[str, asyncio.Task[None]] = {}
        self._coming: dict[str, asyncio.Event] = {}
        self._known: set[str] = set()
        """Delegations that may have changed something."""
        self._with_commands: set[str] = set()
        """Those whose commands may have started something that outlives them."""
        self._sums: dict[str, tuple[int, Changes]] = {}
        """Of running delegations, by how many changes they are the sum of."""

    async def before(self, call: Call, directory: str, owner: str) -> None:
        """Note that a call is about to run; ``owner`` is its delegation, or ``NOBODY``."""
        coming = self._coming[call.key] = asyncio.Event()
        try:
            await self._begin(call, directory, owner)
        finally:
            coming.set()
            del self._coming[call.key]

    async def _begin(self, call: Call, directory: str, owner: str) -> None:
        if owner != NOBODY:
            self._known.add(owner)
        watched = await self._tree_of(directory)
        paths = call.paths
        names = await asyncio.to_thread(_names, watched.tree, directory, paths) if paths else {}
        one = Open(call, owner, self._context.clock.monotonic_s(), names)
        if names:
            watched.begin(one)
            await self._quietly(partial(self._take_images, watched.tree, one))
        else:
            await self._begin_command(watched, one)

    async def after(
        self, session: str, call: str, told: Sequence[Written] = (), *, failed: bool = False
    ) -> None:
        """Account for a call that has ended; one that nobody has told of is nobody's affair."""
        key = Call(session=session, id=call, tool="").key
        if (coming := self._coming.get(key)) is not None:
            await coming.wait()  # the host did not
        for watched in self._watched.values():
            one = watched.open.get(key)
            if one is not None and not one.is_closing:
                one.is_closing = True
                if one.is_shell:
                    self._spawn(one.owner, self._end_command(watched, one))
                else:
                    await self._end_writing(watched, one, told, failed=failed)

    async def finish(self, delegation: Delegation) -> Changes:
        """Account for all that a delegation has open, and return the sum of what it changed."""
        name = delegation.id
        if (adopting := self._adopting.pop(name, None)) is not None:
            await asyncio.wait([adopting])
        if name not in self._known:
            return Changes()
        try:
            async with asyncio.timeout(END_LIMIT_S):
                await self._finish(name)
        except TimeoutError:
            log.error("what %s changed last is not known: its folder cannot be looked at", name)
        try:
            return await asyncio.to_thread(self._sum, delegation)
        except DelegationError as error:
            log.error("what %s changed is not known: %s", name, error)
            return Changes()
        finally:
            self._known.discard(name)
            self._with_commands.discard(name)
            self._sums.pop(name, None)

    async def so_far(self, delegation: Delegation) -> Changes:
        """Return the sum of what a running delegation has changed, as far as its journal says."""
        if delegation.id not in self._known:
            return Changes()
        try:
            return await asyncio.to_thread(self._sum_so_far, delegation.id)
        except DelegationError as error:
            log.warning("what %s has changed so far is not known: %s", delegation.id, error)
            return Changes()

    async def close(self) -> None:
        """Account for what is open, in a bounded time: what comes after this is nobody's."""
        owners = {one.owner for each in self._watched.values() for one in each.open.values()}
        ending = [asyncio.ensure_future(self._finish(name)) for name in owners - {NOBODY}]
        if ending:
            _, late = await asyncio.wait(ending, timeout=CLOSE_LIMIT_S)
            for one in late:
                one.cancel()

    def adopt(self, delegations: Sequence[Delegation]) -> None:
        """Close what a process that has died left open of delegations, as shared; behind."""
        names = [one.id for one in delegations if one.session is not None]
        names = [one for one in names if one not in self._adopting]
        # What its shells have started may run although its calls have ended.
        self._known.update(names)
        self._with_commands.update(names)
        if names:
            task = self._tasks.spawn(self._adopt(names), f"what {', '.join(names)} had open")
            self._adopting.update(dict.fromkeys(names, task))

    # --- commands -----------------------------------------------------------

    async def _begin_command(self, watched: Watched, one: Open) -> None:
        if one.owner != NOBODY:
            self._with_commands.add(one.owner)
        if one.owner == NOBODY and not watched.has_commands:
            watched.begin(one)
            return
        looking = self._spawn(one.owner, watched.look())
        if one.owner != NOBODY:
            await self._quietly(partial(self._note_open, watched.tree, one))
        done, _ = await asyncio.wait([looking], timeout=LOOK_LIMIT_S)
        if done:
            watched.begin(one)
        else:
            log.info("the look before a command in %s was not waited for", watched.tree.top)
            watched.begin_late(one)

    async def _end_command(self, watched: Watched, one: Open) -> None:
        if one.owner != NOBODY or watched.has_commands:
            await watched.look()
        await watched.end(one)
        if one.owner != NOBODY:
            await self._quietly(lambda: self._context.journal.close(one.owner, one.call.key))

    def _note_open(self, tree: WorkingTree, one: Open) -> None:
        window = Window(
            call=one.call.key,
            tool=one.call.tool,
            at=self._context.clock.now(),
            top=tree.top,
            before=one.before,
        )
        self._context.journal.open(one.owner, window)

    # --- files --------------------------------------------------------------

    def _take_images(self, tree: WorkingTree, one: Open) -> None:
        one.before.update((name, tree.image(name)) for name in one.names)
        if one.owner != NOBODY:
            self._note_open(tree, one)

    async def _end_writing(
        self, watched: Watched, one: Open, told: Sequence[Written], *, failed: bool
    ) -> None:
        """See what a tool has written; the rest is done behind, and nobody waits for it."""
        took_s = self._context.clock.monotonic_s() - one.at_s
        is_blind = one.call.overwrites and took_s >= MOMENT_S
        after: dict[str, Image] = {}
        await self._quietly(
            lambda: after.update((name, watched.tree.image(name)) for name in one.before)
        )
        deltas = [
            Delta(name, one.before[name], image)
            for name, image in after.items()
            if not is_same(one.before[name], image)
        ]
        ending = self._account(watched, one, deltas, None if failed or is_blind else told)
        self._spawn(one.owner, ending)

    async def _account(
        self,
        watched: Watched,
        one: Open,
        deltas: Sequence[Delta],
        told: Sequence[Written] | None,
    ) -> None:
        """Write what a tool has changed into the journal; without ``told`` nothing is proven."""
        contested = {delta.path for delta in deltas if watched.is_contested(one, delta.path)}
        segments: list[Segment] = []

        def account() -> None:
            for delta in deltas:
                doubt = Certainty.SHARED if delta.path in contested else Certainty.LIKELY
                is_sure = told is not None and self._is_proven(one, delta, told)
                certainty = Certainty.SURE if is_sure else doubt
                segments.append(self._segment(delta, certainty, one.call.tool))
            if one.owner != NOBODY:
                self._context.journal.close(one.owner, one.call.key, segments)

        async with watched.accounting:
            await self._quietly(account)
            await watched.end(one, segments)

    def _is_proven(self, one: Open, delta: Delta, told: Sequence[Written]) -> bool:
        given = one.names[delta.path]
        source = one.call.sources.get(given, "")
        where = {each: name for name, each in one.names.items()}.get(source, delta.path)
        before = one.before.get(where, delta.before)
        content = self._context.journal.content
        return one.call.is_proven(given, before, delta.after, told, content)

    def _segment(self, delta: Delta, certainty: Certainty, by: str) -> Segment:
        return Segment(
            at=self._context.clock.now(),
            path=delta.path,
            before=delta.before,
            after=delta.after,
            certainty=certainty,
            by=by,
        )

    # --- ends ---------------------------------------------------------------

    async def _finish(self, name: str) -> None:
        for watched in self._watched.values():
            for one in [one for one in watched.open.values() if one.owner == name]:
                await self.after(one.call.session, one.call.id, failed=True)
        await asyncio.gather(*self._closing.get(name, ()), return_exceptions=True)
        self._closing.pop(name, None)

    def _sum_so_far(self, name: str) -> Changes:
        segments = self._context.journal.segments(name)
        count, found = self._sums.get(name, (0, Changes()))
        if count != len(segments):
            found = sum_of(segments, self._context.journal.content)
            self._sums[name] = len(segments), found
        return found

    def _sum(self, delegation: Delegation) -> Changes:
        segments = self._context.journal.segments(delegation.id)
        still = []
        if delegation.id in self._with_commands:
            still = self._context.processes.left_running(delegation.id)
        return sum_of(segments, self._context.journal.content, still)

    async def _adopt(self, names: Sequence[str]) -> None:
        dead = [
            (await self._tree_of(window.top), self._again(name, window))
            for name in names
            for window in await self._left_open(name)
        ]
        for watched, one in dead:
            if one.is_shell:
                watched.begin_late(one)
        for watched, one in dead:
            if not one.is_shell:
                await self._close_dead(watched, one)
        for watched, one in dead:
            if one.is_shell:
                await self._end_command(watched, one)

    def _again(self, name: str, window: Window) -> Open:
        """Return the call of a window as it was open in another process."""
        session, _, id_ = window.call.partition(" ")
        call = Call(session=session, id=id_, tool=window.tool)
        names = {path: path for path in window.before}
        return Open(call, name, self._context.clock.monotonic_s(), names, dict(window.before))

    async def _left_open(self, name: str) -> list[Window]:
        """Return the calls of a delegation of which nobody saw the end."""
        ours = {key for watched in self._watched.values() for key in watched.open}
        found: list[Window] = []

        await self._quietly(lambda: found.extend(self._context.journal.windows(name)))
        return [one for one in found if one.call not in ours]

    async def _close_dead(self, watched: Watched, one: Open) -> None:
        """Count as shared what differs from what a tool found that may have written."""
        found: list[Segment] = []

        def account() -> None:
            now = ((path, old, watched.tree.image(path)) for path, old in one.before.items())
            found.extend(
                self._segment(Delta(path, old, new), Certainty.SHARED, one.call.tool)
                for path, old, new in now
                if not is_same(old, new)
            )
            self._context.journal.close(one.owner, one.call.key, found)

        await self._quietly(account)
        await watched.end(one, found)

    # --- help ---------------------------------------------------------------

    async def _tree_of(self, directory: str) -> Watched:
        if directory not in self._trees:
            tree = await asyncio.to_thread(self._context.trees.of, directory)
            new = Watched(tree, self._context.journal, self._context.clock)
            self._trees[directory] = self._watched.setdefault(tree.top, new)
        return self._trees[directory]

    def _spawn(self, owner: str, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = self._tasks.spawn(work, f"changes of {owner or 'nobody'}")
        if owner != NOBODY:
            mine = self._closing.setdefault(owner, set())
            mine.add(task)
            task.add_done_callback(mine.discard)
        return task

    async def _quietly(self, work: Callable[[], None]) -> None:
        """Do what must not keep a tool from running; what is not in a journal is in the log."""
        try:
            await asyncio.to_thread(work)
        except DelegationError as error:
            log.error("a change is not in its journal: %s", error)


def _names(tree: WorkingTree, directory: str, paths: Sequence[str]) -> dict[str, str]:
    return {tree.name(directory, path): path for path in paths}
