"""From line 2's events to the ports' runtime events.

Also keeps what events teach for free, so that the hot path asks nothing: who is whose parent,
what each session is set to, and where messages are undone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from background_agents.adapters.opencode.memory import remember
from background_agents.adapters.opencode.v2 import wire
from background_agents.adapters.opencode.v2.fold import SessionFold
from background_agents.adapters.opencode.v2.forms import ask_of, words_of
from background_agents.adapters.opencode.v2.kinds import DETAILS, KINDS, UNREADABLE, decoded
from background_agents.domain.asking import REJECT, Ask, Reply
from background_agents.ports import runtime as port

log = logging.getLogger(__name__)

EPOCH = datetime.fromtimestamp(0, UTC)

NOBODY = "global"
"""The session of forms that concern no session."""


class EventReader:
    """Reads events into the folds of the sessions it was told to follow, and passes them on."""

    def __init__(self, emit: Callable[[port.RuntimeEvent], None]) -> None:
        self.live: dict[str, SessionFold] = {}
        self.parents: dict[str, str | None] = {}
        """Those of OpenCode's own; ``adopted`` has ours."""
        self.adopted: dict[str, str] = {}
        """The sessions that we opened, and what they are below."""
        self.directories: dict[str, str] = {}
        self.current: dict[str, wire.SessionInfo] = {}
        """Sessions as they are now, where known."""
        self.forms: dict[str, wire.Form] = {}
        """Forms that were shown, by id: an answer needs their fields."""
        self.on_speech: Callable[[str], None] = lambda _session: None
        """Called when a session gets a message that a person, or we for one, have written."""
        self.on_renamed: Callable[[str, str], None] = lambda _session, _title: None
        self.on_agents: Callable[[], None] = lambda: None
        """Called when agents may have changed."""
        self._emit = emit
        self._glimpses: dict[str, SessionFold] = {}
        self._asked: dict[str, str] = {}
        """The session of each permission that is waited for."""
        self._refused: set[str] = set()
        """Sessions in which something was refused since they last did anything."""

    def read(self, kind: str, event: msgspec.Raw) -> None:
        """Take one event. One that cannot be read is logged and skipped."""
        if kind not in KINDS:
            return
        try:
            self._take(msgspec.json.decode(event, type=wire.Event))
        except UNREADABLE as error:
            log.warning("an OpenCode event %s could not be read: %s", kind, error)

    def _take(self, event: wire.Event) -> None:
        data = decoded(event)
        if isinstance(data, wire.OfSession):
            fold = self._fold(data.session_id)
            changed = fold.hear(event, data)
            self._told(fold, changed, event, data)
        if event.type in _ALONE:
            _ALONE[event.type](self, data)

    def _fold(self, session: str) -> SessionFold:
        if (fold := self.live.get(session)) is not None:
            return fold
        fold = self._glimpses.get(session) or SessionFold(session, is_glimpse=True)
        remember(self._glimpses, session, fold)
        return fold

    def follow(self, session: str) -> SessionFold:
        """Return the session's fold, which keeps everything from now on."""
        if session not in self.live:
            self.live[session] = self._fold(session).followed()
            self._glimpses.pop(session, None)
        return self.live[session]

    def release(self, session: str) -> bool:
        """Keep no more than a glimpse of a session; return whether there was more."""
        if (fold := self.live.pop(session, None)) is None:
            return False
        remember(self._glimpses, session, fold.glimpse())
        return True

    def lost(self) -> None:
        """Take nothing for known that events tell: some were missed."""
        self.current.clear()
        self._asked.clear()
        for fold in self.live.values():
            fold.lost()

    # --- what is known of sessions ----------------------------------------------------

    def learn(self, info: wire.SessionInfo) -> None:
        """Remember what an answer told of a session, unless an event has told something newer."""
        remember(self.parents, info.id, info.parent_id)
        if info.place:
            remember(self.directories, info.id, info.place)
        if info.id not in self.current:
            self._is_now(info)

    def parent(self, session: str) -> str | None:
        """Return what a session is known to be below."""
        return self.adopted.get(session) or self.parents.get(session)

    def is_undone(self, session: str) -> bool:
        """Return whether messages of a session are known to be undone."""
        return session in self.current and self.current[session].revert is not None

    def changed(self, session: str, **changes: object) -> None:
        """Keep what is new of a session, where it is known at all."""
        if (known := self.current.get(session)) is not None:
            self._is_now(msgspec.structs.replace(known, **changes))

    def _is_now(self, info: wire.SessionInfo) -> None:
        was_undone = self.is_undone(info.id)
        remember(self.current, info.id, info)
        if self.is_undone(info.id) is not was_undone:
            self._emit(port.UndoChanged(info.id, not was_undone))

    # --- events of sessions -----------------------------------------------------------

    def _told(
        self, fold: SessionFold, changed: str, event: wire.Event, data: Any
    ) -> None:  # as KINDS says
        session = data.session_id
        if event.type in _WORKING:
            self._refused.discard(session)
            self._emit(port.Busy(session))
        if event.type in _CHANGING and (message := fold.one(changed)):
            self._emit(port.MessageChanged(session, message))
        if event.type in DETAILS and changed:
            self._emit(port.TextStreamed(session, event.type == "session.text.ended"))

    def _created(self, seen: wire.Created) -> None:
        self.learn(seen.info)

    def _deleted(self, seen: wire.OfSession) -> None:
        session = seen.session_id
        # Told first: whose session it was is still to be known then.
        self._emit(port.SessionDeleted(session))
        for memory in (self.parents, self.adopted, self.directories, self.current, self._glimpses):
            memory.pop(session, None)
        self._refused.discard(session)

    def _admitted(self, seen: wire.OfInput) -> None:
        if seen.admitted.type == "user":
            self.on_speech(seen.session_id)

    def _succeeded(self, seen: wire.OfSession) -> None:
        self._rests(seen.session_id)

    def _failed(self, seen: wire.Failed) -> None:
        error = seen.error
        self._emit(port.RunFailed(seen.session_id, error.text, error.aborted))
        self._rests(seen.session_id)

    def _interrupted(self, seen: wire.Interrupted) -> None:
        session = seen.session_id
        # A refusal ends a run like a shutdown does, and nobody aborted it.
        if seen.reason != wire.SHUTDOWN or session not in self._refused:
            self._emit(port.RunFailed(session, f"Interrupted ({seen.reason}).", aborted=True))
        self._rests(session)

    def _rests(self, session: str) -> None:
        for request in [one for one, asks in self._asked.items() if asks == session]:
            # OpenCode takes back what was asked, and tells nobody.
            self._settle(session, request, Reply(word=REJECT))
        self._refused.discard(session)
        self._emit(port.Idle(session))

    def _retry(self, seen: wire.Retry) -> None:
        at = EPOCH + timedelta(milliseconds=seen.at) if seen.at else None
        self._emit(port.Retrying(seen.session_id, seen.attempt, seen.error.text, at))

    def _agent(self, seen: wire.AgentSelected) -> None:
        self.changed(seen.session_id, agent=seen.agent)

    def _model(self, seen: wire.ModelSelected) -> None:
        self.changed(seen.session_id, model=seen.model)

    def _moved(self, seen: wire.Moved) -> None:
        self.changed(seen.session_id, location=seen.location)
        remember(self.directories, seen.session_id, seen.location.directory)

    def _renamed(self, seen: wire.Renamed) -> None:
        self.changed(seen.session_id, title=seen.title)
        self.on_renamed(seen.session_id, seen.title)

    def _staged(self, seen: wire.Staged) -> None:
        if seen.session_id not in self.current:
            self._is_now(wire.SessionInfo(seen.session_id))
            self.current[seen.session_id].revert = None
        self.changed(seen.session_id, revert=seen.revert)

    def _cleared(self, seen: wire.OfSession) -> None:
        self.changed(seen.session_id, revert=None)

    def _committed(self, seen: wire.Committed) -> None:
        # That the user goes on tells the message that comes next.
        if (known := self.current.get(seen.session_id)) is not None:
            known.revert = None

    # --- what is asked ----------------------------------------------------------------

    def _permission(self, seen: wire.Permission) -> None:
        remember(self._asked, seen.id, seen.session_id)
        self._emit(port.InputAsked(seen.session_id, permission(seen)))

    def _replied(self, seen: wire.Replied) -> None:
        self._settle(seen.session_id, seen.request_id, Reply(word=seen.reply))

    def _form(self, seen: wire.FormCreated) -> None:
        if seen.form.session_id != NOBODY:
            self._emit(port.InputAsked(seen.form.session_id, self.shown(seen.form)))

    def shown(self, form: wire.Form) -> Ask:
        """Return a form as the ports know it, and remember its fields."""
        remember(self.forms, form.id, form)
        return ask_of(form)

    def _answered(self, seen: wire.FormSettled) -> None:
        form = self.forms.get(seen.id)
        answers = words_of(form, seen.answer) if form else tuple(map(str, seen.answer.values()))
        self._settle(seen.session_id, seen.id, Reply(answers=answers))

    def _cancelled(self, seen: wire.FormSettled) -> None:
        self._settle(seen.session_id, seen.id, Reply(word=REJECT))

    def _settle(self, session: str, request: str, reply: Reply) -> None:
        self._asked.pop(request, None)
        self.forms.pop(request, None)
        if reply.is_rejection:
            self._refused.add(session)
        self._emit(port.InputSettled(session, request, reply))


_STARTS = ("session.input.promoted", "session.inbox.delivered")

_WORKING = frozenset({*_STARTS, "session.step.started"})
"""What is told when a session works. That an execution has started is told also of one that finds
nothing to do, or no agent to do it."""

_CHANGING = frozenset(
    {*_WORKING, "session.step.ended", "session.step.failed", "session.execution.interrupted"}
)
"""What changes messages as a whole."""

_ALONE: Mapping[str, Callable[[EventReader, Any], None]] = {
    "session.created": EventReader._created,
    "session.deleted": EventReader._deleted,
    "session.input.admitted": EventReader._admitted,
    "session.inbox.enqueued": EventReader._admitted,
    "session.execution.succeeded": EventReader._succeeded,
    "session.execution.failed": EventReader._failed,
    "session.execution.interrupted": EventReader._interrupted,
    "session.retry.scheduled": EventReader._retry,
    "session.agent.selected": EventReader._agent,
    "session.model.selected": EventReader._model,
    "session.moved": EventReader._moved,
    "session.renamed": EventReader._renamed,
    "session.revert.staged": EventReader._staged,
    "session.revert.cleared": EventReader._cleared,
    "session.revert.committed": EventReader._committed,
    "permission.asked": EventReader._permission,
    "permission.replied": EventReader._replied,
    "form.created": EventReader._form,
    "form.replied": EventReader._answered,
    "form.cancelled": EventReader._cancelled,
    "agent.updated": lambda reader, _data: reader.on_agents(),
}


def permission(asked: wire.Permission) -> Ask:
    """Return a permission as the ports know it."""
    return Ask(
        id=asked.id,
        session=asked.session_id,
        permission=asked.action,
        patterns=tuple(asked.resources),
    )
