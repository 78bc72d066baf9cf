"""One session of the scripted runtime: its messages, and the loop that plays their scripts.

It behaves as OpenCode's sessions were seen to behave, with timers in place of a model: the
same events in the same order, also after errors and aborts. Knows no port but the events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from background_agents.adapters.opencode.v1 import wire
from background_agents.adapters.opencode.v1.events import questions
from background_agents.domain.asking import REJECT, Ask, Reply
from background_agents.domain.events import Usage
from background_agents.domain.transcript import Message, ToolCall, Transcript
from background_agents.ports import runtime as port
from background_agents.testing.scripts import Call, Step, newest_id, plan

FLUSH_S = 0.02
"""After an abort or an error the runtime is idle at once, and flushes the message this much
later: OpenCode takes 15 to 50 ms after an abort, 50 to 250 ms after an error."""

ABORTED = "Aborted"


@dataclass(eq=False)
class Entry:
    """A message as the session stores it."""

    id: str
    role: str
    parts: dict[str, str] = field(default_factory=dict)
    """Text by part id. What an assistant streams is in ``pieces`` instead."""
    hidden: bool = False
    agent: str | None = None
    model: str | None = None
    answers: str | None = None
    pieces: list[str] = field(default_factory=list)
    tools: list[ToolCall] = field(default_factory=list)
    finished: bool = False
    error: str | None = None
    aborted: bool = False
    cost_usd: float = 0.0

    @property
    def text(self) -> str:
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return "".join([*self.parts.values(), *self.pieces])

    def message(self) -> Message:
        text = self.text
        return Message(
            id=self.id,
            role=self.role,
            text=text,
            answers=self.answers,
            tools=tuple(self.tools),
            finished=self.finished,
            error=self.error,
            aborted=self.aborted,
            usage=Usage(output_tokens=len(text) // 4, cost_usd=self.cost_usd)
            if self.answers
            else Usage(),
        )


@dataclass(frozen=True)
class Rules:
    """What a session asks of its runtime."""

    emit: Callable[[port.RuntimeEvent], None]
    mint: Callable[[str], str]
    """Make an id with a prefix; later ones sort after earlier ones."""
    knows_model: Callable[[str | None], bool]
    price_usd: Callable[[], float]
    """What an answer costs."""
    hold: Callable[[str, Callable[[], None]], None]
    """Call back once a gate is open."""


class ScriptedSession:
    """A session whose answers are written in its prompts."""

    def __init__(self, name: str, parent: str | None, rules: Rules) -> None:
        self.name = name
        self.parent = parent
        self.denied: set[str] = set()
        self.asking: set[str] = set()
        """Tools for which a permission is asked."""
        self.open: dict[str, tuple[Ask, int]] = {}
        """What is asked and not answered, with the place of the call that waits for it."""
        self.busy = False
        self.wound_up = asyncio.Event()
        """Not set while a failed run is wound up: what comes then is stored, and begins nothing."""
        self.wound_up.set()
        self.stopped_by_user = False
        self.delegated: set[str] = set()
        """What ``delegate`` has answered in it: of a fork, the calls that were copied."""
        self.undone: set[str] = set()
        """Messages that its user has undone and that the next message deletes."""
        self.entries: dict[str, Entry] = {}
        self._rules = rules
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Handle | None = None
        self._flushes: list[asyncio.TimerHandle] = []
        self._answer: Entry | None = None
        self._refused = False

    def transcript(self) -> Transcript:
        return Transcript(tuple(entry.message() for entry in self.entries.values()))

    def being_written(self) -> Message | None:
        """Return the newest answer while it is not finished."""
        newest = next((e for e in reversed(self.entries.values()) if e.answers), None)
        return newest.message() if newest and not newest.finished else None

    def newest_of_user(self) -> Entry | None:
        """Return the newest message that a user wrote."""
        return next((e for e in reversed(self.entries.values()) if e.role == "user"), None)

    # --- what is done to it ----------------------------------------------------

    def take(self, entry: Entry, *, wake: bool = True) -> None:
        """Store a user's message, or update the parts of the one with its id."""
        for name in self.undone:
            del self.entries[name]
        self.undone = set()
        known = self.entries.get(entry.id)
        if known is None:
            self.entries[entry.id] = entry
        else:
            known.parts.update(entry.parts)
        self._changed(self.entries[entry.id])
        if not entry.hidden:
            self.stopped_by_user = False
        if wake and not self.busy and self.wound_up.is_set():
            self.busy = True
            self._later(self._begin)

    def undo(self, message: str) -> None:
        """Take back a message and all after it."""
        named = list(self.entries)
        self.undone = set(named[named.index(message) :])
        self._emit(port.UndoChanged(self.name, undone=True))

    def redo(self) -> None:
        """Bring back what was undone."""
        if self.undone:
            self.undone = set()
            self._emit(port.UndoChanged(self.name, undone=False))

    def abort(self) -> None:
        """End the run; the aborted message is flushed a little later."""
        if not self.busy:
            self._emit(port.Idle(self.name))
            return
        self._halt()
        self.stopped_by_user = True
        answer, self._answer = self._answer, None
        self._tell_end(ABORTED, aborted=True)
        if answer is not None:
            self._flush_later(answer, ABORTED, aborted=True)

    def delete(self) -> None:
        """Forget everything, in whatever state."""
        self._halt()
        for flush in self._flushes:
            flush.cancel()
        self.wound_up.set()
        self._emit(port.SessionDeleted(self.name))

    def cut_off(self) -> None:
        """End the run without a word or an event, as when the runtime's process dies."""
        self._halt()
        self.open.clear()
        self._answer = None

    def end_with_runtime(self) -> None:
        """End the run as the runtime ends: told as an abort is, but for the aborted message."""
        answer, was_busy = self._answer, self.busy
        self.cut_off()
        if answer is not None:
            answer.aborted, answer.error = True, ABORTED
        if was_busy:
            self._tell_end(ABORTED, aborted=True)

    # --- the answer, by script or by hand --------------------------------------

    def write(self, text: str) -> None:
        """Stream a piece of the answer that is being written."""
        self._current.pieces.append(text)
        self._emit(port.TextStreamed(self.name))

    def finish(self) -> None:
        """End the answer: the model is done."""
        answer, self._answer = self._current, None
        answer.finished = True
        self._changed(answer)
        self._later(self._go_on)

    def ask(self, permission: str, pattern: str) -> Ask:
        """Let the answer that is being written wait for a permission."""
        answer = self._current
        ask = self._permission(permission, pattern)
        self.open[ask.id] = (ask, len(answer.tools))
        answer.tools.append(ToolCall(permission, "running", permission))
        self._changed(answer)
        self._emit(port.InputAsked(self.name, ask))
        return ask

    def fail(self, message: str) -> None:
        """End the run by an error of the provider."""
        answer, self._answer = self._current, None
        self._halt()
        self.wound_up.clear()
        self._tell_end(message, aborted=False)
        self._flush_later(answer, message, aborted=False)

    @property
    def is_writing(self) -> bool:
        """Whether an answer is being written."""
        return self._answer is not None

    @property
    def _current(self) -> Entry:
        if self._answer is None:
            raise AssertionError(f"no answer is being written in {self.name}")
        return self._answer

    # --- the loop --------------------------------------------------------------

    def _begin(self) -> None:
        self._emit(port.Busy(self.name))
        newest = self.newest_of_user()
        model = newest.model if newest else None
        if not self._rules.knows_model(model):
            self._halt()
            self._tell_end(f"Model not found: {model}.", aborted=False)
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Answer what came in meanwhile, or rest; a prompt that came again has its answer."""
        newest = self.newest_of_user()
        if any(newest and entry.answers == newest.id for entry in self.entries.values()):
            self.busy = False
            self._emit(port.Idle(self.name))
        else:
            self._step()

    def _step(self) -> None:
        """Play the next step of the script as a new answer."""
        said = list(self.entries.values())
        steps = plan(said)
        step = next(steps, Step(say="Done."))
        if step.fail is not None and step.times is not None:
            step = self._after_refusals(step, steps)
        newest = self.newest_of_user()
        answer = Entry(
            self._rules.mint("msg_answer"),
            "assistant",
            answers=newest.id if newest else None,
            cost_usd=self._rules.price_usd(),
        )
        self._answer = self.entries[answer.id] = answer
        self._changed(answer)
        if step.fail is not None:
            self.fail(step.message)
        elif not step.hang:
            text = (step.say or "").replace("{id}", newest_id(said))
            self._stream(step, text, step.repeat if step.say else 0)

    def _after_refusals(self, step: Step, steps: Iterator[Step]) -> Step:
        """Tell of the retries, which take no time here, and return what follows them."""
        for attempt in range(1, (step.times or 0) + 1):
            self._emit(port.Retrying(self.name, attempt, step.message, None))
        return next(steps, Step(say="Done."))

    def _stream(self, step: Step, text: str, left: int) -> None:
        while left:
            count = min(step.per_chunk, left)
            self.write(text * count)
            left -= count
            if left and step.every_ms:
                delay = step.every_ms / 1000
                self._next = self._loop.call_later(delay, self._stream, step, text, left)
                return
        if step.gate is None:
            self._after_text(step)
        else:
            answer = self._current
            self._rules.hold(step.gate, lambda: self._pass_gate(answer, step))

    def _pass_gate(self, answer: Entry, step: Step) -> None:
        if answer is self._answer:
            self._after_text(step)

    def _after_text(self, step: Step) -> None:
        calls = step.tool_calls()
        if not calls:
            self.finish()
            return
        answer = self._current
        for call in calls:
            self._call(answer, call)
        self._changed(answer)
        for ask, _ in tuple(self.open.values()):
            self._emit(port.InputAsked(self.name, ask))
        self._after_calls()

    def _call(self, answer: Entry, call: Call) -> None:
        # A tool that is denied is not offered, and OpenCode calls "invalid" instead.
        tool = "invalid" if call.call in self.denied else call.call
        ask = self._ask_before(tool, call)
        if ask is not None:
            self.open[ask.id] = (ask, len(answer.tools))
        state, equal = ("running", "") if ask else ("completed", str(call.args))
        answer.tools.append(ToolCall(tool, state, tool, fingerprint=equal))

    def _ask_before(self, tool: str, call: Call) -> Ask | None:
        """Return what is asked before a tool runs."""
        if tool == "question":
            asked = msgspec.convert(call.args["questions"], list[wire.QuestionInfo])
            return questions(wire.Questions(self.name, self._rules.mint("que"), asked))
        if tool not in self.asking:
            return None
        return self._permission(tool, str(call.args.get("command", "*")))

    def _permission(self, tool: str, pattern: str) -> Ask:
        request = self._rules.mint("per")
        return Ask(id=request, session=self.name, permission=tool, patterns=(pattern,))

    def settle(self, request: str, reply: Reply) -> None:
        """Answer what is asked, as the service does, or a user in a dialogue."""
        ask, place = self.open.pop(request)
        if self._answer is not None:
            call = self._answer.tools[place]
            state = "error" if reply.is_rejection else "completed"
            self._answer.tools[place] = ToolCall(call.tool, state, call.title)
            self._changed(self._answer)
        self._emit(port.InputSettled(self.name, request, reply))
        if reply.word == "always":
            self.asking.discard(ask.permission)
        if reply.is_rejection:
            # As in OpenCode: words let the run go on, and all else that is asked is refused.
            self._refused = self._refused or not reply.reason
        if reply.word in ("always", REJECT):
            for other in [one for one, _ in self.open.values() if one.permission]:
                if other.id in self.open:  # it may have gone along with the one before
                    self.settle(other.id, Reply(word=reply.word))
        if self._answer is not None:
            self._after_calls()

    def _after_calls(self) -> None:
        """Go on once nothing is asked any more."""
        if self.open or self._answer is None:
            return
        self._answer = None
        refused, self._refused = self._refused, False
        if refused:
            self._halt()
            self._emit(port.Idle(self.name))
        else:
            self._later(self._step)

    def _halt(self) -> None:
        self.busy = False
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _tell_end(self, why: str, *, aborted: bool) -> None:
        self._emit(port.RunFailed(self.name, why, aborted))
        self._emit(port.Idle(self.name))

    def _flush_later(self, answer: Entry, error: str, *, aborted: bool) -> None:
        def flush() -> None:
            if not aborted:
                self.wound_up.set()
            answer.error, answer.aborted = error, aborted
            self._changed(answer)
            self._emit(port.Idle(self.name))

        self._flushes.append(self._loop.call_later(FLUSH_S, flush))

    def _later(self, step: Callable[[], None]) -> None:
        self._next = self._loop.call_soon(step)

    def _changed(self, entry: Entry) -> None:
        self._emit(port.MessageChanged(self.name, entry.message()))

    def _emit(self, event: port.RuntimeEvent) -> None:
        self._rules.emit(event)
