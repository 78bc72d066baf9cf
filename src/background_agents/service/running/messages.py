"""What one run says to its supervisor: at once while its budget lasts, then together, later.

Each message wakes the supervisor's model, and a turn costs the whole conversation. What is kept is
stored, and told when the budget allows, or with the end, whatever becomes of this process.
"""

from __future__ import annotations

from collections.abc import Callable

from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import TooTalkative
from background_agents.domain.notice import Notice, NoticeKind
from background_agents.service.context import Context, Record
from background_agents.service.running.signals import KeptDue, NotifyAsked
from background_agents.service.running.timers import Alarm
from background_agents.views import notices

KEPT_CHARS = 20_000
"""Ten of the longest messages, some 5,000 tokens: what one notice may cost the supervisor."""


class Messages:
    """The messages of one run. ``tell`` hears of each notice, ``due`` when kept ones may go."""

    def __init__(
        self,
        context: Context,
        record: Record,
        tell: Callable[[Notice], None],
        due: Callable[[KeptDue], None],
    ) -> None:
        self._context = context
        self._record = record
        self._tell = tell
        self._alarm = Alarm(context.clock, lambda: due(KeptDue()))

    def resume(self, delegation: Delegation) -> None:
        """Go on waiting with what is kept."""
        if delegation.kept and not self._alarm.is_set:
            self._alarm.set(delegation.silent_for(self._context.clock.now()))

    def close(self) -> None:
        """Nothing will be due."""
        self._alarm.clear()

    async def say(self, delegation: Delegation, asked: NotifyAsked) -> None:
        """Tell the supervisor what the child wants to say, and the child what came of that."""
        try:
            asked.accept(await self.tell(delegation, asked.text))
        except TooTalkative as error:
            asked.refuse(error)

    async def tell(self, delegation: Delegation, text: str) -> Delegation:
        """Tell the supervisor, or keep it in the order in which it was said.

        Raises ``TooTalkative`` where no more is kept.
        """
        now = self._context.clock.now()
        if not delegation.kept and not delegation.silent_for(now):
            part = self._context.mint("prt")
            notice = notices.new(delegation, NoticeKind.MESSAGE, part, now, words=(text,))
            told = await self._record(ev.ParentNotified(at=now, text=text), notices=(notice,))
            self._tell(notice)
            return told
        if sum(map(len, delegation.kept)) + len(text) > KEPT_CHARS:
            raise TooTalkative(len(delegation.kept))
        kept = await self._record(ev.ParentNotified(at=now, text=text, kept=True))
        self.resume(kept)
        return kept

    async def tell_kept(self, delegation: Delegation) -> None:
        """Tell the supervisor as one what has been kept."""
        self.close()
        if not delegation.kept:
            return
        notice = kept_notice(self._context, delegation)
        await self._record(ev.KeptTold(at=notice.created_at), notices=(notice,))
        self._tell(notice)


def kept_notice(context: Context, delegation: Delegation) -> Notice:
    """Return the one notice of all that is kept."""
    part, now = context.mint("prt"), context.clock.now()
    return notices.new(delegation, NoticeKind.MESSAGE, part, now, words=delegation.kept)
