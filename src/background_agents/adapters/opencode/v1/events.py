"""From OpenCode's events to the ports' runtime events.

Also keeps what events teach for free, so that the hot path asks nothing: who is whose parent,
where messages are undone, and the newest user message of each session that somebody cares about.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from background_agents.adapters.opencode.live import LiveSession
from background_agents.adapters.opencode.memory import remember
from background_agents.adapters.opencode.v1 import wire
from background_agents.domain.asking import REJECT, Ask, Question, Reply
from background_agents.ports import runtime as port

log = logging.getLogger(__name__)

EPOCH = datetime.fromtimestamp(0, UTC)


class EventReader:
    """Reads events into the live sessions it was told to follow, and passes them on."""

    def __init__(self, emit: Callable[[port.RuntimeEvent], None]) -> None:
        self.live: dict[str, LiveSession] = {}
        self.parents: dict[str, str | None] = {}
        self.directories: dict[str, str] = {}
        self.newest_user: dict[str, wire.MessageInfo] = {}
        self.current: dict[str, wire.SessionInfo] = {}
        """Sessions as they are now, with what is undone in them and their rules, where known."""
        self._emit = emit
        self._readers: Mapping[str, tuple[type, Callable[[Any], None]]] = {
            "session.created": (wire.SessionProperties, self._session_changed),
            "session.updated": (wire.SessionProperties, self._session_changed),
            "session.deleted": (wire.SessionProperties, self._session_deleted),
            "session.status": (wire.StatusProperties, self._status),
            "session.idle": (wire.OfSession, self._idle),
            "session.error": (wire.ErrorProperties, self._error),
            "message.updated": (wire.MessageProperties, self._message),
            "message.removed": (wire.OfMessage, self._message_removed),
            "message.part.updated": (wire.PartProperties, self._part),
            "message.part.removed": (wire.OfPart, self._part_removed),
            "message.part.delta": (wire.DeltaProperties, self._delta),
            "permission.asked": (wire.Permission, self._permission),
            "permission.replied": (wire.SettledProperties, self._settled),
            "question.asked": (wire.Questions, self._questions),
            "question.replied": (wire.SettledProperties, self._settled),
            "question.rejected": (wire.SettledProperties, self._rejected),
        }

    def read(self, kind: str, properties: msgspec.Raw) -> None:
        """Take one event. One that cannot be read is logged and skipped."""
        if kind not in self._readers:
            return
        shape, reader = self._readers[kind]
        try:
            reader(msgspec.json.decode(properties, type=shape))
        except (ValueError, OverflowError, RecursionError) as error:
            log.warning("an OpenCode event %s could not be read: %s", kind, error)

    def learn(self, info: wire.SessionInfo) -> None:
        """Remember whose child a session is, and in which directory it works."""
        remember(self.parents, info.id, info.parent_id)
        if info.directory:
            remember(self.directories, info.id, info.directory)
        if info.id not in self.current:
            # Else an event has told, which is newer than an answer on its way.
            self._is_now(info)

    def parent(self, session: str) -> str | None:
        """Return the parent of a session, if it is known to have one."""
        return self.parents.get(session)

    def is_undone(self, session: str) -> bool:
        """Return whether messages of a session are known to be undone."""
        return session in self.current and self.current[session].revert is not None

    def _is_now(self, info: wire.SessionInfo) -> None:
        was_undone = self.is_undone(info.id)
        remember(self.current, info.id, info)
        if self.is_undone(info.id) is not was_undone:
            self._emit(port.UndoChanged(info.id, not was_undone))

    def _session_changed(self, seen: wire.SessionProperties) -> None:
        info = seen.info
        self._is_now(info)
        self.learn(info)

    def _session_deleted(self, seen: wire.SessionProperties) -> None:
        info = seen.info
        # Told first: whose session it was is still to be known then.
        self._emit(port.SessionDeleted(info.id))
        self.parents.pop(info.id, None)
        self.directories.pop(info.id, None)
        self.newest_user.pop(info.id, None)
        self.current.pop(info.id, None)

    def _status(self, seen: wire.StatusProperties) -> None:
        status = seen.status
        if status.type == "busy":
            self._emit(port.Busy(seen.session_id))
        elif status.type == "retry":
            at = EPOCH + timedelta(milliseconds=status.next) if status.next else None
            self._emit(port.Retrying(seen.session_id, status.attempt, status.message, at))

    def _idle(self, seen: wire.OfSession) -> None:
        # "session.status idle" says the same a moment earlier; one of the two is enough.
        self._emit(port.Idle(seen.session_id))

    def _error(self, seen: wire.ErrorProperties) -> None:
        if seen.session_id is None:
            return
        error = seen.error or wire.Error()
        self._emit(port.RunFailed(seen.session_id, error.text, error.aborted))

    def _message(self, seen: wire.MessageProperties) -> None:
        info = seen.info
        if info.role == "user":
            known = self.newest_user.get(info.session_id)
            if known is None or known.id <= info.id:
                remember(self.newest_user, info.session_id, info)
        live = self.live.get(info.session_id)
        if live is None:
            # Supervisors' sessions are not followed; that a message exists is all
            # that is asked about them.
            live = LiveSession()
        live.message(info)
        message = live.one(info.id)
        if message is not None:
            self._emit(port.MessageChanged(info.session_id, message))

    def _message_removed(self, seen: wire.OfMessage) -> None:
        newest = self.newest_user.get(seen.session_id)
        if newest is not None and newest.id == seen.message_id:
            del self.newest_user[seen.session_id]
        if self.is_undone(seen.session_id):
            # Most likely gone for good, since its user's next message is on its way.
            del self.current[seen.session_id]
        if live := self.live.get(seen.session_id):
            live.remove_message(seen.message_id)

    def _part(self, seen: wire.PartProperties) -> None:
        part = seen.part
        if live := self.live.get(part.session_id):
            live.part(part)
            if live.is_answer(part.message_id) and not part.bookkeeping:
                self._emit(port.TextStreamed(part.session_id, part.whole))

    def _part_removed(self, seen: wire.OfPart) -> None:
        if live := self.live.get(seen.session_id):
            live.remove_part(seen.message_id, seen.part_id)

    def _delta(self, seen: wire.DeltaProperties) -> None:
        if seen.field == "text" and (live := self.live.get(seen.session_id)):
            live.delta(seen.message_id, seen.part_id, seen.delta)
            self._emit(port.TextStreamed(seen.session_id))

    def _permission(self, seen: wire.Permission) -> None:
        self._emit(port.InputAsked(seen.session_id, permission(seen)))

    def _questions(self, seen: wire.Questions) -> None:
        self._emit(port.InputAsked(seen.session_id, questions(seen)))

    def _settled(self, seen: wire.SettledProperties) -> None:
        answers = tuple(", ".join(one) for one in seen.answers)
        reply = Reply(word=seen.reply, answers=answers)
        self._emit(port.InputSettled(seen.session_id, seen.request_id, reply))

    def _rejected(self, seen: wire.SettledProperties) -> None:
        self._emit(port.InputSettled(seen.session_id, seen.request_id, Reply(word=REJECT)))


def permission(asked: wire.Permission) -> Ask:
    """Return a permission as the ports know it."""
    patterns = tuple(asked.patterns)
    return Ask(
        id=asked.id, session=asked.session_id, permission=asked.permission, patterns=patterns
    )


def questions(asked: wire.Questions) -> Ask:
    """Return questions as the ports know them."""
    found = tuple(
        Question(one.question, tuple(option.label for option in one.options))
        for one in asked.questions
    )
    return Ask(id=asked.id, session=asked.session_id, questions=found)
