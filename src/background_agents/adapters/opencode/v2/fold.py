"""A session's messages, folded from its events: live ones, and what its log has of those missed.

Each event that OpenCode stores has a number in its session's log, and a fold knows up to which
one it has missed none. From there it reads the log, where events may come a second time, but in
their order. What was streamed and never stored is kept.
"""

from __future__ import annotations

import logging
from bisect import bisect_left, insort
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from background_agents.adapters.opencode.live import NAME_CHARS, SAID, LiveSession
from background_agents.adapters.opencode.messages import (
    ABORTED,
    FINGERPRINT_CHARS,
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
from background_agents.adapters.opencode.v2.kinds import DETAILS, KINDS, UNREADABLE, decoded
from background_agents.domain.transcript import Message

log = logging.getLogger(__name__)

DONE = "other"
"""Stands for a finish that the provider did not name: unlike line 1, a run is over then."""


class _Title(wire.Struct):
    title: object = None
    """What a plugin's tool calls itself."""


@dataclass
class _Reading:
    """A log that was asked for, and has not come."""

    tail: list[wire.Event] = field(default_factory=list)
    """What came live since it was asked for."""
    is_broken: bool = False
    """Something may have been missed since."""


class SessionFold:
    """One session: its messages, and how far its log is known.

    A *glimpse* is kept of sessions that nobody follows: whom the newest answer answers, without a
    word of it.
    """

    def __init__(self, session: str, *, is_glimpse: bool = False) -> None:
        self.messages = LiveSession()
        self.seen = 0
        """The number of the log's entry up to which none was missed."""
        self._is_whole = False
        """Nothing was missed since then either, so what comes live counts."""
        self._readings: list[_Reading] = []
        self._session = session
        self._is_glimpse = is_glimpse
        self._turns: list[tuple[int, str]] = []
        """The inputs that were taken up, by number."""
        self._inputs: dict[str, wire.Input] = {}
        """Those that were not taken up yet."""
        self._answers: list[tuple[int, str]] = []
        """The assistant's messages, by rank."""

    def followed(self) -> SessionFold:
        """Return a fold that keeps everything from now on, and knows what this one does."""
        return self._knowing(is_glimpse=False)

    def glimpse(self) -> SessionFold:
        """Return what is to be known of the session when nobody follows it any more."""
        return self._knowing(is_glimpse=True)

    def _knowing(self, *, is_glimpse: bool) -> SessionFold:
        fold = SessionFold(self._session, is_glimpse=is_glimpse)
        fold._turns, fold._inputs = self._turns[-1:], dict(self._inputs)
        for _, answer in self._answers[-1:]:
            if (info := self.messages.info(answer)) is not None:
                fold._keep(info)
        return fold

    def hear(self, event: wire.Event, data: Any) -> str:  # as _TAKEN says
        """Take a live event; return the id of the message that it is about, if there is one."""
        if event.number:
            for reading in self._readings:
                reading.tail.append(event)
            if self._is_whole:
                self.seen = max(self.seen, event.number)
        return self._take(event, data)

    def lost(self) -> None:
        """The stream broke: from here on the log is to be read."""
        self._is_whole = False
        for reading in self._readings:
            reading.is_broken = True

    async def catch_up(self, read: Callable[[int], Awaitable[list[wire.Event]]]) -> None:
        """Take all that the log has after an entry, and again what came live meanwhile."""
        reading = _Reading()
        self._readings.append(reading)
        try:
            entries = await read(self.seen)
        finally:
            self._readings = [one for one in self._readings if one is not reading]
        # The last entry is no event, and says how far the log goes.
        end = max((max(one.number, one.seq) for one in entries), default=0)
        tail = [one for one in reading.tail if one.number > end]
        for event in (*entries, *tail):
            self._retake(event)
        self.seen = max(self.seen, end)
        if not reading.is_broken:
            self._is_whole = True
            self.seen = max(self.seen, *(one.number for one in tail), 0)

    def _retake(self, event: wire.Event) -> None:
        if event.type not in KINDS:
            return
        try:
            self._take(event, decoded(event))
        except UNREADABLE as error:
            log.warning("an entry %s of OpenCode's log could not be read: %s", event.type, error)

    def _take(self, event: wire.Event, data: Any) -> str:  # as _TAKEN says
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
            self.messages, self._answers = LiveSession(), []
            self._turns = self._turns[-1:]
        self.messages.message(
            MessageInfo(data.message, "user", self._session, event.number, time=_at(event))
        )
        if given := self._inputs.pop(data.message, None):
            self.messages.part(_text(self._session, data.message, 0, given.text, whole=True))
        return data.message

    def _step_started(self, event: wire.Event, data: wire.StepStarted) -> str:
        known = self.messages.info(data.message_id)  # where a step is tried again
        rank = min(known.rank, event.number) if known else event.number
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
        before = bisect_left(self._answers, (event.number, ""))
        answer = self.messages.info(self._answers[before - 1][1]) if before else None
        if answer is None or data.reason == wire.SHUTDOWN:
            return ""
        if answer.finish is not None or answer.error is not None:
            return ""
        completed = answer.time.completed or event.created
        return self._keep(
            msgspec.structs.replace(
                answer,
                error=Error(ABORTED, ErrorData("It was interrupted.")),
                time=Times(answer.time.created, completed),
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
        # Its beginning may have been missed; the log has it.
        missed = MessageInfo(data.message_id, "assistant", self._session, event.number)
        answer = self.messages.info(data.message_id) or missed
        info = msgspec.structs.replace(
            answer,
            finish=finish,
            error=error,
            tokens=data.tokens,
            cost=data.cost,
            time=Times(answer.time.created, event.created),
        )
        return self._keep(info)

    def _keep(self, info: MessageInfo) -> str:
        known = self.messages.info(info.id)
        if known is None and self._is_glimpse:
            self.messages, self._answers = LiveSession(), []
        if known is not None and known.rank != info.rank:
            self._answers.remove((known.rank, info.id))
        if known is None or known.rank != info.rank:
            insort(self._answers, (info.rank, info.id))
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
        return self._call(data, state, name=data.name)

    def _tool_called(self, event: wire.Event, data: wire.Tool) -> str:
        return self._call(
            data,
            ToolState(
                "running",
                input=data.input,
                fingerprint=data.identity,
                time=ToolTimes(event.created),
            ),
        )

    def _tool_succeeded(self, event: wire.Event, data: wire.Tool) -> str:
        return self._tool_over(event, data, "completed", None)

    def _tool_failed(self, event: wire.Event, data: wire.Tool) -> str:
        return self._tool_over(event, data, "error", data.error.text)

    def _tool_over(self, event: wire.Event, data: wire.Tool, status: str, error: str | None) -> str:
        was = self._called(data).state
        title = _own_title(data.metadata) or was.title
        state = ToolState(
            status,
            title,
            error=error,
            fingerprint=was.fingerprint[:FINGERPRINT_CHARS] + data.identity,
            time=ToolTimes(was.time.start, event.created),
            metadata=data.metadata,
        )
        return self._call(data, state)

    def _called(self, data: wire.Tool) -> Part:
        missed = Part(data.call_id, "tool", self._session, data.message_id, tool=data.name)
        return self.messages.known(data.message_id, data.call_id) or missed

    def _call(self, data: wire.Tool, state: ToolState, *, name: str = "") -> str:
        part = self._called(data)
        part = msgspec.structs.replace(part, tool=name or part.tool, state=state)
        self.messages.part(part)
        return data.message_id

    def _committed(self, _event: wire.Event, data: wire.Committed) -> str:
        self.messages.remove_from(data.to)
        self._answers = [one for one in self._answers if self.messages.info(one[1])]
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
