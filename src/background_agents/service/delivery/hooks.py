"""What the user has set to be run when a delegation ends or asks: a command, the desktop's notice.

Run at most once for each, by the process that has stored it, as the toast is shown: neither is made
up for after a crash, since nobody could tell whether it had happened. Nothing waits for them. What
agents wrote reaches a command as JSON on its stdin, and the desktop not at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta

import msgspec

from background_agents.config import Settings
from background_agents.domain.actor import PEOPLE, Actor
from background_agents.domain.delegation import Delegation
from background_agents.domain.notice import Notice, NoticeKind
from background_agents.domain.status import Status
from background_agents.service.context import ProjectContext
from background_agents.service.delivery.toasts import GIVE_WAY
from background_agents.views import notices
from background_agents.views.json import hook_sheet

log = logging.getLogger(__name__)

LIMIT = timedelta(seconds=10)
"""What a command may take that tells somebody something; then it is killed."""

AT_ONCE = 4
"""Commands that run side by side; of fifty delegations that end together the others wait."""


class Hooks:
    """Runs what the settings name."""

    def __init__(self, context: ProjectContext, settings: Settings) -> None:
        self._context = context
        self._settings = settings
        self._room = asyncio.Semaphore(AT_ONCE)
        self._failing: dict[str, str] = {}
        """Why each command failed last; told once, until it is another reason."""

    async def tell(self, delegation: Delegation, notice: Notice) -> None:
        """Run what is to be run for a notice; it takes as long as that does."""
        if notice.kind is NoticeKind.MESSAGE or _is_known(delegation):
            return
        if not (self._settings.notify_command or self._settings.notify_desktop):
            return
        await self._context.clock.sleep(GIVE_WAY)
        for setting, command, content in self._commands(delegation, notice):
            async with self._room:
                failure = await self._context.processes.hand(command, content, LIMIT)
            if failure and self._failing.get(setting) != failure:
                log.warning("%s, for %s: it %s", setting, delegation.id, failure)
            self._failing[setting] = failure

    def _commands(
        self, delegation: Delegation, notice: Notice
    ) -> Iterator[tuple[str, Sequence[str], bytes]]:
        title, message, _ = notices.toast([notice])
        if line := self._settings.notify_command:
            told = hook_sheet(delegation, self._context.clock.now(), notice.kind, title, message)
            yield "notify_command", ("/bin/sh", "-c", line), msgspec.json.encode(told) + b"\n"
        if self._settings.notify_desktop:
            words = ("--app-name=background-agents", "--", title, delegation.id)
            yield "notify_desktop", ("notify-send", *words), b""


def _is_known(delegation: Delegation) -> bool:
    """Return whether a person has just ended it, who knows, or it went with the one above it."""
    by = delegation.stop_requested_by
    return delegation.status is Status.STOPPED and by in {*PEOPLE, Actor.END_ABOVE}
