"""What the board is about to do: state and a key in, state and an action out. Pure.

Knows no terminal, no clock and no service: the loop gives it keys and what was seen, and carries
out what it asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum

from background_agents.hosts.cli.watching.keys import PASTE, TEXT, Key, Line
from background_agents.hosts.cli.watching.seen import Pane, Seen
from background_agents.views import board

_PAGE = 10
"""Lines that a page key moves in the peek pane; a pane may be that small."""

_FAR = 1_000_000
"""Beyond any list or text."""


class Mode(StrEnum):
    """Whom keys are for."""

    BOARD = "board"
    PEEK = "peek"
    FACTS = "facts"
    HELP = "help"
    FILTER = "filter"
    STEER = "steer"
    ANSWER = "answer"
    STOP = "stop"


class Wish(Enum):
    """What is asked of the screen, wherever one is; by its key."""

    QUIT = "ctrl-c"
    SUSPEND = "ctrl-z"
    """Give the terminal back to the shell until it lets us go on."""
    REDRAW = "ctrl-l"
    """Draw everything anew: something else has written to the terminal."""


@dataclass(frozen=True)
class Steer:
    """Put an instruction into a run."""

    key: str
    text: str


@dataclass(frozen=True)
class Answer:
    """Answer a request, and no other."""

    key: str
    request: str
    text: str


@dataclass(frozen=True)
class Stop:
    """End a delegation."""

    key: str


@dataclass(frozen=True)
class Copy:
    """Put an id where the user's terminal keeps what is pasted."""

    id: str


Command = Steer | Answer | Stop

Action = Wish | Command | Copy


@dataclass(frozen=True)
class Model:
    """What is chosen, whom keys are for, and what has been typed."""

    mode: Mode = Mode.BOARD
    behind: Mode = Mode.BOARD
    """Where it goes back to from an input: the board, or the pane of a run."""
    chosen: str = ""
    """The key of the selected delegation, also once it has ended; empty before there was any."""
    index: int = 0
    """Its place, from which the user moves on once it has vanished."""
    deaf: str = ""
    """Why keys do nothing until the typing rests: they were meant for an input that is not there.
    Empty while they do."""
    request: str = ""
    """What is being answered."""
    line: Line = field(default_factory=Line)
    scrolled: int = 0
    """How many lines the pane shows from before its end, or from after its beginning where it is
    read from there; 0 follows."""
    note: str = ""
    """Said once in the footer."""
    words: str = ""
    """Rows without these are not shown."""
    order: str = board.URGENT
    """Of ``board.ORDERS``."""

    @property
    def pane(self) -> Pane | None:
        """Return what the pane shows; None without one."""
        showing = self.mode if self.mode in (Mode.BOARD, *_PANES) else self.behind
        return _PANES.get(showing)

    @property
    def peeks(self) -> str:
        """Return the key of the delegation that the pane shows; empty without one."""
        return self.chosen if self.pane else ""

    @property
    def name(self) -> str:
        """Return the id of the selected delegation."""
        return self.chosen.rpartition("/")[2]


Step = tuple[Model, Action | None]


def arranged(model: Model, seen: Seen) -> Seen:
    """Return what was seen as it is shown: what is meant, in the order that is wanted."""
    active = [
        one for one in seen.active if board.is_meant(model.words, one.delegation, seen.project(one))
    ]
    ended = [one for one in seen.ended if board.is_meant(model.words, one.line, seen.project(one))]
    return replace(seen, active=board.ordered(active, model.order), ended=tuple(ended))


def see(model: Model, seen: Seen) -> Model:
    """Return the model after the project was looked at anew.

    The selection stays with its delegation, whatever becomes of that: a key that is about to be
    pressed is for what the user saw. What waits for an answer or a y for nothing any more is
    closed.
    """
    shown = arranged(model, seen)
    keys = shown.keys
    if model.chosen in keys:
        model = replace(model, index=keys.index(model.chosen))
    elif shown.active and not model.chosen:
        model = replace(model, index=0, chosen=keys[0])
    if model.mode is Mode.ANSWER and _first_request(model, seen) != model.request:
        return _refused(_back(model), f"What {model.name} had asked is answered already.")
    if model.mode is Mode.STOP and seen.active_one(model.chosen) is None:
        return _refused(_back(model), f"{model.name} has ended.")
    return model


def rest(model: Model) -> Model:
    """Return the model after nothing was typed for a while."""
    return replace(model, deaf="")


def press(model: Model, key: Key, seen: Seen) -> Step:
    """Return the model after a key, and what is to be done for it."""
    model = replace(model, note="")
    if key.name in _WISHES:
        return model, Wish(key.name)
    if model.deaf:
        return _unheard(model, key), None
    if key.name == PASTE and model.mode not in (Mode.STEER, Mode.ANSWER, Mode.FILTER):
        return _refused(model, "Pasted text is no command."), None
    return _PRESS[model.mode](model, key, seen)


def _on_board(model: Model, key: Key, seen: Seen) -> Step:
    name = _name(key)
    if name == "q":
        return model, Wish.QUIT
    if name in _STEPS:
        return _moved(model, _STEPS[name], seen), None
    if name == "/":
        typed = Line(model.words, len(model.words))
        return replace(model, mode=Mode.FILTER, behind=Mode.BOARD, line=typed), None
    if name == "escape":
        return see(replace(model, words=""), seen), None
    if name == "o":
        order = board.ORDERS[(board.ORDERS.index(model.order) + 1) % len(board.ORDERS)]
        return see(replace(model, order=order, note=f"Sorted by {order}."), seen), None
    return _opened(model, name, seen)


def _in_pane(model: Model, key: Key, seen: Seen) -> Step:
    name = _name(key)
    if name in ("escape", "q", "left") or _SHOWS.get(name) is model.mode:
        return see(replace(model, mode=Mode.BOARD, behind=Mode.BOARD), seen), None
    if name in _STEPS:
        reads_down = seen.peeked is not None and seen.peeked.is_whole
        step = _STEPS[name] if reads_down else -_STEPS[name]
        return replace(model, scrolled=max(model.scrolled + step, 0)), None
    return _opened(model, name, seen)


def _opened(model: Model, name: str, seen: Seen) -> Step:
    """Do what a key means for the selected one, on the board and in a pane."""
    if name in (*_SHOWS, "y") and not model.chosen:
        return replace(model, note="Nothing is selected; ↑ and ↓ select."), None
    if name in _SHOWS:
        return replace(model, mode=_SHOWS[name], behind=Mode.BOARD, scrolled=0), None
    if name == "y":
        return model, Copy(model.name)
    return _begin(model, name, seen), None


def _begin(model: Model, name: str, seen: Seen) -> Model:
    """Begin an input, where the key asks for one and there is something to do it to."""
    if name == "?":
        return replace(model, mode=Mode.HELP, behind=model.mode)
    wanted = _OPENS.get(name)
    if wanted is None:
        return model
    if seen.sheet(model.chosen) is None:
        nothing = f"{model.name} has ended." if model.chosen else "Nothing is active."
        return _refused(model, nothing)
    request = _first_request(model, seen)
    if wanted is Mode.ANSWER and not request:
        return _refused(model, f"{model.name} asks nothing.")
    return replace(model, mode=wanted, behind=model.mode, line=Line(), request=request)


def _in_filter(model: Model, key: Key, seen: Seen) -> Step:
    """Show at each key what is left; the words stay until Esc."""
    if key.name in ("enter", "escape"):
        model = _back(model)
        words = "" if key.name == "escape" else model.words
        return see(replace(model, words=words), seen), None
    line = model.line.press(key)
    return see(replace(model, line=line, words=line.text), seen), None


def _in_help(model: Model, key: Key, _seen: Seen) -> Step:
    back = _back(model)
    return _refused(back, "That closed the help.") if _name(key) in _OPENS else back, None


def _in_line(model: Model, key: Key, _seen: Seen) -> Step:
    if key.name == "escape":
        return _back(model), None
    if key.name != "enter":
        return replace(model, line=model.line.press(key)), None
    text = model.line.text
    if not text.strip():
        return model, None
    if model.mode is Mode.STEER:
        return _back(model), Steer(model.chosen, text)
    return _back(model), Answer(model.chosen, model.request, text)


def _in_stop(model: Model, key: Key, _seen: Seen) -> Step:
    if _name(key) in ("y", "Y"):
        return _back(model), Stop(model.chosen)
    is_other = key.name == TEXT and key.text not in ("n", "N")
    return _refused(_back(model), "Nothing was stopped.") if is_other else _back(model), None


def _refused(model: Model, why: str) -> Model:
    """Say that no input is open; what is typed for it is no command."""
    return replace(model, note=why, deaf=why)


def _unheard(model: Model, key: Key) -> Model:
    """Take a key that was meant for an input; those that end an input end this as well."""
    if key.name in ("enter", "escape"):
        return rest(model)
    return replace(model, note=f"{model.deaf} Keys do nothing until you pause, or press Esc.")


_WISHES = frozenset(one.value for one in Wish)

_STEPS = {
    "up": -1, "k": -1, "down": 1, "j": 1, "page up": -_PAGE, "page down": _PAGE,
    "home": -_FAR, "g": -_FAR, "end": _FAR, "G": _FAR,
}  # fmt: skip
"""How far keys move down a list or a text."""

_OPENS = {"s": Mode.STEER, "a": Mode.ANSWER, "x": Mode.STOP}

_SHOWS = {"enter": Mode.PEEK, "p": Mode.PEEK, "i": Mode.FACTS}

_PANES = {Mode.PEEK: Pane.RUN, Mode.FACTS: Pane.FACTS}


_PRESS: dict[Mode, Callable[[Model, Key, Seen], Step]] = {
    Mode.BOARD: _on_board,
    Mode.PEEK: _in_pane,
    Mode.FACTS: _in_pane,
    Mode.HELP: _in_help,
    Mode.FILTER: _in_filter,
    Mode.STEER: _in_line,
    Mode.ANSWER: _in_line,
    Mode.STOP: _in_stop,
}


def _name(key: Key) -> str:
    """Return what a key means where no text is typed; a paste means nothing there."""
    return key.text if key.name == TEXT else key.name


def _back(model: Model) -> Model:
    return replace(model, mode=model.behind, behind=Mode.BOARD, line=Line(), request="")


def _moved(model: Model, step: int, seen: Seen) -> Model:
    keys = arranged(model, seen).keys
    if not keys:
        return model
    if model.chosen not in keys and step > 0:
        step -= 1  # the next one has taken the place of what ended, or none was selected yet
    index = max(min(model.index + step, len(keys) - 1), 0)
    return replace(model, index=index, chosen=keys[index])


def _first_request(model: Model, seen: Seen) -> str:
    found = seen.sheet(model.chosen)
    return found.requests[0].id if found is not None and found.requests else ""
