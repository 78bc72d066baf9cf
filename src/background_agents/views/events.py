"""The read model of what happened: each event of a delegation in words, on one line.

What agents wrote is bounded here and has no control characters; who prints it makes it fit.
"""

from __future__ import annotations

from collections.abc import Mapping

from background_agents.domain import events as ev
from background_agents.domain.text import NAME_CHARS, one_line, span, used
from background_agents.views.changes import brief

_WORDS_CHARS = 500
"""Of an instruction, an error or a message: what it was about."""


def told(event: ev.Event) -> str:
    """Return what an event was, as people say it."""
    match event:
        case ev.Registered():
            after = f", going on from {event.continued_from}" if event.continued_from else ""
            after += f", once more what {event.retry_of} was to do" if event.retry_of else ""
            limit = f"time limit {span(event.timeout)}" if event.timeout else "no time limit"
            return f"delegated to {_name(event.agent)} ({limit}){after}"
        case ev.Launched():
            return f"began in session {_name(event.session)}" if event.session else "began"
        case ev.Progressed():
            return f"had used {_usage(event.usage)}"
        case ev.ToolCalled():
            title = f": {_words(event.title)}" if event.title else ""
            return f"called the tool {_name(event.tool)}{title}"
        case ev.Described():
            return f"got a better title: {_words(event.title)}"
        case ev.ChangesMade():
            return f"of its changes there stand: {brief(event.changes) or 'none'}"
        case ev.Read():
            return "read by whoever had delegated it"
        case ev.Resumed():
            return f"taken over by the process {_name(event.owner)}"
        case ev.Relaunched():
            return "had been cut off, and was told to go on"
        case ev.Ended():
            return _ending(event)
        case _:
            return _talk(event)


def _talk(event: ev.Event) -> str:
    """Return what was asked, said or told on the way."""
    match event:
        case ev.InputRequested():
            return f"asked ({event.ask.kind}): {event.ask.text}"
        case ev.InputAnswered():
            return f"answered by the {_name(event.by)}: {_words(event.reply)}"
        case ev.ParentNotified(kept=True):
            return f"said, to be told later: {_words(event.text)}"
        case ev.KeptTold():
            return "told its supervisor what it had said meanwhile"
        case ev.ParentNotified():
            return f"told its supervisor: {_words(event.text)}"
        case ev.SteerSent():
            return f"was given an instruction by the {_name(event.by)}: {_words(event.text)}"
        case ev.SteerConfirmed():
            return "took the instruction up"
        case ev.Annotated():
            labels = _words(", ".join(event.labels)) or "none"
            return f"has the labels {labels} and the note: {_words(event.note) or 'none'}"
        case ev.Extended(more=None):
            return f"freed of its time limit by the {_name(event.by)}"
        case ev.Extended():
            return f"was given {span(event.more or 0)} more by the {_name(event.by)}"
        case ev.LimitReached():
            return f"reached its {event.reached.what}: its tools are refused"
        case ev.StopRequested():
            why = f": {_words(event.why)}" if event.why else ""
            return f"asked to stop by the {_name(event.by)}{why}"
        case ev.NoticeQueued():
            return "its notice was queued"
        case ev.NoticeConfirmed():
            return "its notice was received"
        case _:
            raise TypeError(f"{type(event).__name__} is an event that nobody has words for")


_ENDED: Mapping[type[ev.Event], str] = {
    ev.Failed: "failed",
    ev.TimedOut: "timed out",
    ev.Stopped: "stopped",
    ev.Interrupted: "interrupted",
}


def _ending(event: ev.Ended) -> str:
    numbers = f" ({_usage(event.usage)})"
    if event.changes.files:
        numbers += f", {brief(event.changes)} changed"
    match event:
        case ev.Completed():
            cut = f", cut by the model ({_name(event.cut)})" if event.cut else ""
            return f"completed{cut}{numbers}"
        case ev.Failed() | ev.TimedOut() | ev.Stopped() | ev.Interrupted():
            return f"{_ENDED[type(event)]}{numbers}: {_words(event.error)}"
        case _:
            raise TypeError(f"{type(event).__name__} is an ending that nobody has words for")


def _usage(usage: ev.Usage) -> str:
    return used(usage.tokens, usage.cost_usd, usage.tool_calls, usage.unpriced_turns)


def _words(text: str) -> str:
    return one_line(text, _WORDS_CHARS)


def _name(text: str) -> str:
    return one_line(text, NAME_CHARS)
