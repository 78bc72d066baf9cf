"""One project as this process serves it: what all its directories share.

One place each for the claim, the slots, the outbox, the search for orphans and what is streamed, so
that a limit counts the whole project and a notice is served once, however many worktrees are open.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta

from msgspec.structs import replace

from background_agents.config import Settings
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import NotServed, RunElsewhere, StoreUnavailable
from background_agents.domain.notice import Notice
from background_agents.ports.supervisor import OutgoingMessage, SupervisorChannel
from background_agents.service.changes.recorder import Recorder
from background_agents.service.context import ProjectContext
from background_agents.service.delivery.hooks import Hooks
from background_agents.service.delivery.outbox import Outbox
from background_agents.service.delivery.recent import Recent
from background_agents.service.delivery.titles import Titles
from background_agents.service.delivery.waits import Bell
from background_agents.service.ownership.leases import HEARTBEAT, Leaseholder
from background_agents.service.ownership.recovery import adopt_orphans
from background_agents.service.panel import Panels
from background_agents.service.periodic import Failing, Periodic, all_failing
from background_agents.service.running.registry import Runs
from background_agents.service.running.run import Run
from background_agents.service.running.signals import ToldOfBelow
from background_agents.service.running.slots import Slots
from background_agents.service.running.streamed import PACE, TextKeeper
from background_agents.service.spending import Spending
from background_agents.service.tasks import Tasks
from background_agents.service.user import UserDelegations
from background_agents.service.workspace import Workspace
from background_agents.views.live import Live

log = logging.getLogger(__name__)

ORPHAN_SEARCH = timedelta(seconds=10)
"""How long an orphan may go unnoticed; a look is one indexed query."""


class Project:
    """What the directories of a project share, from ``start`` to ``close``."""

    def __init__(self, context: ProjectContext, settings: Settings) -> None:
        self.context = context
        self.settings = settings
        self.tasks = Tasks()
        self.bell = Bell(context.clock)
        """Rings whenever something happened to a delegation that somebody may wait for."""
        self.stir = Bell(context.clock)
        """Rings whenever a run may have written something."""
        self.recent = Recent()
        self.slots = Slots(
            settings.max_concurrent,
            per_provider=settings.max_concurrent_per_provider,
            per_model=settings.max_concurrent_per_model,
        )
        self.lease = Leaseholder(context, self._abandon)
        self.runs = Runs(context.store, lambda: self.lease.owner)
        self.recorder = Recorder(context, self.tasks)
        """Notes what delegations change."""
        self.hooks = Hooks(context, settings)
        """Run what the user has set."""
        self.titles = Titles(context.clock, self.bell, lambda: not self.runs.all())
        self.outbox = Outbox(
            context,
            self.tasks,
            self.lease,
            companions=self.runs.about_to_end,
            delivering=self._delivering,
            delivered=self._delivered,
        )
        self.spending = Spending(context, settings, self.runs)
        self.continuing = asyncio.Lock()
        """Of two that would go on in one session, the second sees the first."""
        self.panels = Panels(self)
        """What screens inside the host are shown."""
        self.user = UserDelegations(self)
        """What the project's user may do."""
        self._workspaces: dict[str, Workspace] = {}
        self._taking_over = asyncio.Lock()
        """What one search has adopted has a run before the next one looks."""
        keeper = TextKeeper(context.store, self.runs.unsaved)
        self._periodic = (
            Periodic(context.clock, HEARTBEAT, self.lease.renew, "the heartbeat"),
            Periodic(context.clock, ORPHAN_SEARCH, self._take_over, "the search for orphans"),
            Periodic(context.clock, PACE, keeper.keep, "keeping what agents stream"),
        )

    async def start(self) -> None:
        """Claim what is going to be ours. Raises ``StoreUnavailable``."""
        await self.lease.start()
        for one in self._periodic:
            self.tasks.spawn(one.run(), one.name)

    async def open(self, workspace: Workspace) -> None:
        """Serve a directory: follow its events, take over its orphans, deliver what is due."""
        self._workspaces[workspace.directory] = workspace
        workspace.listen()
        try:
            await self._take_over()
        except StoreUnavailable as error:
            log.warning("orphans of %s are looked for later: %s", workspace.directory, error)

    async def close(self) -> None:
        """Let go; runs stay as they are stored, for the next process to take over."""
        for workspace in self._workspaces.values():
            workspace.close()
        await self.recorder.close()
        await self.tasks.close()
        for run in self.runs.all():
            # Also those whose work had not begun.
            run.leave(RunElsewhere(run.delegation.id))

    @property
    def directories(self) -> Sequence[str]:
        """The directories that are open, in the order of their opening."""
        return tuple(self._workspaces)

    @property
    def failing(self) -> Sequence[Failing]:
        """What this process does every so often and cannot do just now."""
        return all_failing(self._periodic)

    async def live(self, runs: Iterable[Run]) -> list[Live]:
        """Return runs as they are now, with what they have changed so far."""
        return [await self._with_changes(await run.look()) for run in runs]

    async def _with_changes(self, live: Live) -> Live:
        changes = await self.recorder.so_far(live.delegation)
        return live._replace(delegation=replace(live.delegation, changes=changes))

    def workspace(self, directory: str) -> Workspace:
        """Return the workspace of a directory that is open. Raises ``NotServed``."""
        if directory not in self._workspaces:
            raise NotServed(f"This OpenCode does not have {directory} open.")
        return self._workspaces[directory]

    def nearest(self, directory: str) -> Workspace:
        """Return the workspace of a directory, or of another one of the project."""
        return self._workspaces.get(directory) or next(iter(self._workspaces.values()))

    async def _take_over(self) -> None:
        """Go on with what processes that died have left behind, now or long ago."""
        async with self._taking_over:
            await self.lease.clear()
            adopted = await adopt_orphans(
                self.context, self.lease, self._serves, self.runs.__contains__
            )
            self.recorder.adopt([one for one in adopted if not one.tree])
            for delegation in adopted:
                self._workspaces[delegation.directory].conduct(delegation)
        await self.outbox.recover(self._channel_of)

    async def _serving(self, delegation: Delegation) -> Workspace | None:
        """Return the workspace whose runtime has a delegation's supervisor."""
        found = self._workspaces.get(delegation.directory)
        return found if found and await found.reaches(delegation) else None

    async def _serves(self, delegation: Delegation) -> bool:
        return await self._serving(delegation) is not None

    async def _channel_of(self, delegation: Delegation) -> SupervisorChannel | None:
        workspace = await self._serving(delegation)
        return workspace.context.channel if workspace else None

    def _abandon(self) -> None:
        for workspace in self._workspaces.values():
            workspace.abandon()

    async def _delivering(self, message: OutgoingMessage) -> OutgoingMessage:
        """Tell a run whose agent the message is for; where that is to end, it wakes nobody."""
        run = self.runs.in_session(message.session)
        if run is not None:
            run.telling(message.message)
            is_over = run.is_to_end
        else:
            is_over = await self.context.store.with_session(message.session) is not None
        return replace(message, wakes=message.wakes and not is_over)

    def _delivered(self, notice: Notice) -> None:
        self.recent.delivered(notice, self.context.mint("prt"))
        if (run := self.runs.in_session(notice.supervisor)) is not None:
            run.hear(ToldOfBelow())
