"""A session's messages, folded from its events: live ones and those of its log, in any order.

Each event that OpenCode stores has a number in its session's log, so one that comes twice, or
late, changes nothing. What was streamed and never stored is kept.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from background_agents.adapters.opencode.live import NAME_CHARS, SAID, LiveSession
from background_agents.adapters.opencode.messages import (
    ABORTED,
    Error,
    ErrorData,
    MessageInfo,
    Part,
    Span,
    Times,
    ToolState,
    ToolTimes,
)
from background_agents.adapters.opencode.v2 import wire
from background_agents.domain.transcript import Message

DONE = "other"
"""Stands for a finish that the provider did not name: unlike line 1, a run is over then."""


class _Title(wire.Struct):
    title: object = None
    """What a plugin's tool calls itself."""


class SessionFold:
    """One session: its messages, and how far its log is known.

    A *glimpse* is kept of sessions that nobody follows: whom the newest answer answers, without a
    word of it.
    """

    def __init__(self, session: str, *, is_glimpse: bool = False) -> None:
        self.messages = LiveSession()
        self.seen = 0
        """The number up to which every entry of the log is known."""
        self.unbroken = False
        """Nothing was missed since, so what comes live counts as known."""
        self._session = session
        self._is_glimpse = is_glimpse
        self._turns: list[tuple[int, str]] = []
        """The inputs that were taken up, by number."""
        self._inputs: dict[str, wire.Input] = {}
        """Those that were not taken up yet."""
        self._newest: MessageInfo | None = None
        """The newest answer."""
        self._calls: dict[str, Part] = {}
        """Tools that are being called."""

    def followed(self) -> SessionFold:
        """Return a fold that keeps everything from now on, and knows what this one does."""
        return self._knowing(is_glimpse=False)

    def glimpse(self) -> SessionFold:
        """Return what is to be known of the session when nobody follows it any more."""
        return self._knowing(is_glimpse=True)

    def _knowing(self, *, is_glimpse: bool) -> SessionFold:
        fold = SessionFold(self._session, is_glimpse=is_glimpse)
        fold._turns, fold._inputs = self._turns[-1:], dict(self._inputs)
        if self._newest is not None:
            fold._newest = self._newest
            fold.messages.message(self._newest)
        return fold

    def take(self, event: wire.Event, data: Any) -> str:  # as _TAKEN says
        """Take an event; return the id of the message that it is about, if it is about one."""
        if self.unbroken:
            self.seen = max(self.seen, event.number)
        if event.type not in _TAKEN or (self._is_glimpse and event.type in DETAILS):
            return ""
        return _TAKEN[event.type](self, event, data)

    def one(self, message: str) -> Message | None:
        """Return one of its messages as it now is."""
        return self.messages.one(message)

    # --- inputs and steps -------------------------------------------------------------

    def _admitted(self, _event: wire.Event, data: wire.OfInput) -> str:
        if not self._is_glimpse:
            self._inputs[data.message] = data.admitted
        return ""

    def _promoted(self, event: wire.Event, data: wire.OfInput) -> str:
        turn = (event.number, data.message)
        if turn not in self._turns:
            insort(self._turns, turn)
        if self._is_glimpse:
            self.messages, self._turns = LiveSession(), self._turns[-1:]
        self.messages.message(
            MessageInfo(data.message, "user", self._session, event.number, time=_at(event))
        )
        if given := self._inputs.pop(data.message, None):
            self.messages.part(_text(self._session, data.message, 0, given.text, whole=True))
        return data.message

    def _step_started(self, event: wire.Event, data: wire.StepStarted) -> str:
        newest = self._newest
        again = newest is not None and newest.id == data.message_id  # after a pause
        rank = newest.rank if newest is not None and again else event.number
        before = bisect_left(self._turns, (rank, ""))
        info = MessageInfo(
            data.message_id,
            "assistant",
            self._session,
            rank,
            parent_id=self._turns[before - 1][1] if before else None,
            agent=data.agent,
            provider_id=data.model.provider_id,
            model_id=data.model.id,
            variant=data.model.chosen_variant,
            time=_at(event),
        )
        return self._keep(info)

    def _step_ended(self, event: wire.Event, data: wire.StepEnded) -> str:
        finish = DONE if data.finish == "unknown" else data.finish
        return self._close(event, data, finish=finish)

    def _step_failed(self, event: wire.Event, data: wire.StepEnded) -> str:
        # Whether somebody has aborted it tells the end of the execution.
        failed = None if data.error.aborted else _error(data.error)
        return self._close(event, data, error=failed)

    def _interrupted(self, event: wire.Event, data: wire.Interrupted) -> str:
        newest = self._newest
        if newest is None or newest.rank > event.number or data.reason == wire.SHUTDOWN:
            return ""
        if newest.finish is not None or newest.error is not None:
            return ""
        aborted = Error(ABORTED, ErrorData("It was interrupted."))
        completed = newest.time.completed or event.created
        return self._keep(
            msgspec.structs.replace(
                newest, error=aborted, time=Times(newest.time.created, completed)
            )
        )

    def _close(
        self,
        event: wire.Event,
        data: wire.StepEnded,
        *,
        finish: str | None = None,
        error: Error | None = None,
    ) -> str:
        newest = self._newest
        if newest is None or newest.id != data.message_id:
            # Its beginning was missed; the log has it.
            newest = MessageInfo(data.message_id, "assistant", self._session, event.number)
            newest.parent_id = self._turns[-1][1] if self._turns else None
        info = msgspec.structs.replace(
            newest,
            finish=finish,
            error=error,
            tokens=data.tokens,
            cost=data.cost,
            time=Times(newest.time.created, event.created),
        )
        return self._keep(info)

    def _keep(self, info: MessageInfo) -> str:
        if self._newest is None or self._newest.rank <= info.rank:
            self._newest = info
        self.messages.message(info)
        return info.id

    # --- what is in a step ------------------------------------------------------------

    def _text_started(self, _event: wire.Event, data: wire.Text) -> str:
        self.messages.part(_text(self._session, data.message_id, data.ordinal, ""))
        return data.message_id

    def _text_delta(self, _event: wire.Event, data: wire.Text) -> str:
        part = _text_id(data.message_id, data.ordinal)
        self.messages.delta(data.message_id, part, data.delta)
        return data.message_id

    def _text_ended(self, _event: wire.Event, data: wire.Text) -> str:
        self.messages.part(
            _text(self._session, data.message_id, data.ordinal, data.text, whole=True)
        )
        return data.message_id

    def _tool_begun(self, event: wire.Event, data: wire.Tool) -> str:
        state = ToolState("pending", time=ToolTimes(event.created))
        name = data.name[:NAME_CHARS]
        return self._call(data, Part("", "tool", self._session, "", tool=name, state=state))

    def _tool_called(self, event: wire.Event, data: wire.Tool) -> str:
        state = ToolState("running", input=data.input, time=ToolTimes(event.created))
        title = state.subject[:NAME_CHARS]
        state = ToolState("running", title, time=state.time)
        return self._call(data, msgspec.structs.replace(self._called(data), state=state))

    def _tool_succeeded(self, _event: wire.Event, data: wire.Tool) -> str:
        return self._tool_over(data, "completed", None)

    def _tool_failed(self, _event: wire.Event, data: wire.Tool) -> str:
        return self._tool_over(data, "error", data.error.text)

    def _tool_over(self, data: wire.Tool, status: str, error: str | None) -> str:
        part = self._called(data)
        title = _own_title(data.metadata) or part.state.title
        state = ToolState(status, title, error=error, time=part.state.time, metadata=data.metadata)
        self._call(data, msgspec.structs.replace(part, state=state))
        self._calls.pop(data.call_id, None)
        return data.message_id

    def _called(self, data: wire.Tool) -> Part:
        missed = Part(data.call_id, "tool", self._session, data.message_id, tool=data.name)
        return self._calls.get(data.call_id, missed)

    def _call(self, data: wire.Tool, part: Part) -> str:
        part = msgspec.structs.replace(part, id=data.call_id, message_id=data.message_id)
        self._calls[data.call_id] = part
        self.messages.part(part)
        return data.message_id

    def _committed(self, _event: wire.Event, data: wire.Committed) -> str:
        self.messages.remove_from(data.to)
        return ""


_TAKEN: Mapping[str, Callable[[SessionFold, wire.Event, Any], str]] = {
    "session.input.admitted": SessionFold._admitted,
    "session.inbox.enqueued": SessionFold._admitted,
    "session.input.promoted": SessionFold._promoted,
    "session.inbox.delivered": SessionFold._promoted,
    "session.step.started": SessionFold._step_started,
    "session.step.ended": SessionFold._step_ended,
    "session.step.failed": SessionFold._step_failed,
    "session.execution.interrupted": SessionFold._interrupted,
    "session.text.started": SessionFold._text_started,
    "session.text.delta": SessionFold._text_delta,
    "session.text.ended": SessionFold._text_ended,
    "session.tool.input.started": SessionFold._tool_begun,
    "session.tool.called": SessionFold._tool_called,
    "session.tool.success": SessionFold._tool_succeeded,
    "session.tool.failed": SessionFold._tool_failed,
    "session.revert.committed": SessionFold._committed,
}

DETAILS = frozenset(kind for kind in _TAKEN if kind.startswith(("session.text.", "session.tool.")))
"""The events that matter of sessions alone that somebody follows."""


def _at(event: wire.Event) -> Times:
    return Times(event.created)


def _error(error: wire.Error) -> Error:
    return Error(error.type, ErrorData(error.text))


def _text_id(message: str, ordinal: int) -> str:
    return f"{message}.{ordinal}"


def _text(session: str, message: str, ordinal: int, text: str, *, whole: bool = False) -> Part:
    span = Span(0) if whole else Span()
    return Part(_text_id(message, ordinal), SAID, session, message, text, time=span)


def _own_title(metadata: msgspec.Raw) -> str:
    try:
        title = msgspec.json.decode(metadata, type=_Title).title
    except msgspec.DecodeError:
        return ""
    return title[:NAME_CHARS] if isinstance(title, str) else ""
