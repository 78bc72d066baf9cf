"""What supervisors were told lately, and since when their models can know it.

A model knows what stood in its session's transcript when it began to write. Whoever waits in
that very moment must not miss what happened just before.
"""

from __future__ import annotations

import msgspec

from background_agents.domain.ids import is_later
from background_agents.domain.notice import Notice, NoticeKind

REMEMBERED = 500
"""Notices that are kept in mind; older ones are known to every model that still writes."""


class _Told(msgspec.Struct):
    notice: Notice
    circle: str
    delivered: str = ""
    """An id from the moment in which it was seen in the transcript; empty before that."""


class Recent:
    """The newest notices of one project, oldest first."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}

    def add(self, notice: Notice, circle: str) -> None:
        """Remember a notice that is about to be delivered; ``circle`` is its delegation's."""
        self._told[notice.id] = _Told(notice, circle)
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]

    def delivered(self, notice: Notice, moment: str) -> None:
        """Note that a notice has its receipt; ``moment`` is an id that was made just now."""
        if told := self._told.get(notice.id):
            told.delivered = moment

    def since(self, message: str, kind: NoticeKind, circle: str) -> list[str]:
        """Return whose notices of a kind the writer of ``message`` cannot have known."""
        return [
            told.notice.delegation
            for told in self._told.values()
            if told.notice.kind is kind
            and told.circle == circle
            and (not told.delivered or is_later(told.delivered, message))
        ]
