"""Toasts of one directory, one after the other: a host shows one, and the next takes its place.

So each is left its time, and what comes meanwhile is told together afterwards. The notice for the
model goes first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from background_agents.domain.errors import DelegationError
from background_agents.domain.notice import Notice
from background_agents.service.context import Context
from background_agents.service.tasks import Tasks
from background_agents.views import notices

log = logging.getLogger(__name__)

GIVE_WAY = timedelta(milliseconds=50)
"""What is less urgent waits until the notice, which takes ~20 ms, has had the runtime to
itself."""

SHOWN = timedelta(seconds=5)
"""How long OpenCode shows a toast."""


class Toasts:
    """What the human of a directory is told."""

    def __init__(self, context: Context, tasks: Tasks) -> None:
        self._context = context
        self._tasks = tasks
        self._waiting: list[tuple[Notice, Callable[[], bool]]] = []
        self._is_telling = False

    def tell(self, notice: Notice, is_news: Callable[[], bool] = lambda: True) -> None:
        """Tell the human, a little after the model, if ``is_news`` still says so then."""
        self._waiting.append((notice, is_news))
        if not self._is_telling:
            self._is_telling = True
            self._tasks.spawn(self._tell(), f"toasts in {self._context.directory}")

    async def _tell(self) -> None:
        try:
            await self._context.clock.sleep(GIVE_WAY)
            while self._waiting:
                due, self._waiting = self._waiting, []
                if told := [notice for notice, is_news in due if is_news()]:
                    await self._show(told)
                    await self._context.clock.sleep(SHOWN)
        finally:
            self._is_telling = False

    async def _show(self, told: list[Notice]) -> None:
        try:
            await self._context.channel.toast(*notices.toast(told))
        except DelegationError as error:
            log.warning("a toast was not shown: %s", error)
