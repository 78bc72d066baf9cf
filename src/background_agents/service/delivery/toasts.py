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
        self._is_busy = False
        """One is shown, or about to be."""

    def close(self) -> None:
        """Show no more."""
        self._waiting.clear()

    def tell(self, notice: Notice, is_news: Callable[[], bool] = lambda: True) -> None:
        """Tell the human, a little after the model, if ``is_news`` still says so then."""
        self._waiting.append((notice, is_news))
        if not self._is_busy:
            self._begin()

    def _begin(self) -> None:
        self._is_busy = bool(self._waiting)
        if self._is_busy:
            self._tasks.spawn(self._tell(), f"toast in {self._context.directory}")

    async def _tell(self) -> None:
        await self._context.clock.sleep(GIVE_WAY)
        due, self._waiting = self._waiting, []
        told = [notice for notice, is_news in due if is_news()]
        if not told:
            return self._begin()
        # No task meanwhile: nothing is at work while a toast is shown.
        self._context.clock.call_later(SHOWN, self._begin)
        try:
            await self._context.channel.toast(*notices.toast(told))
        except DelegationError as error:
            log.warning("a toast was not shown: %s", error)
