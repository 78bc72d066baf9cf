"""What keys do to the board, without a terminal: state and a key in, state and an action out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replaced
from sheetworks import NOW, active, asks, key, model, over, seen

from background_agents.hosts.cli.watching.keys import Key, Line
from background_agents.hosts.cli.watching.model import (
    Action,
    Answer,
    Copy,
    Mode,
    Model,
    Steer,
    Stop,
    Wish,
    arranged,
    press,
    rest,
    see,
)
from background_agents.hosts.cli.watching.seen import Pane, Peeked, Seen
from background_agents.views import board

ASKING = active("asking", asks("bash: rm -rf build"))
THREE = seen(ASKING, active("second"), active("third"))


def pressed(start: Model, found: Seen, *names: str) -> tuple[Model, list[Action]]:
    actions = []
    for name in names:
        start, action = press(start, key(name), found)
        actions += [action] if action else []
    return start, actions


def test_the_first_is_selected_and_the_selection_moves_within_the_list() -> None:
    start = model(THREE)
    assert (start.chosen, start.mode) == ("asking", Mode.BOARD)
    for names, chosen in {
        ("down",): "second",
        ("j", "j"): "third",
        ("down", "down", "down"): "third",
        ("end", "k"): "second",
        ("G", "up", "up", "up"): "asking",
        ("page down", "home"): "asking",
    }.items():
        after, actions = pressed(start, THREE, *names)
        assert (after.chosen, actions) == (chosen, []), names


def test_the_selection_stays_with_its_delegation() -> None:
    """Others come and go above it; when it ends, it stays selected until the user moves."""
    start, _ = pressed(model(THREE), THREE, "down")
    fewer = seen(active("second"), active("third"))
    assert see(start, fewer).chosen == "second"
    for after in (seen(ASKING), seen()):
        assert see(start, after).chosen == "second"
    left = seen(ASKING, active("third"))
    assert pressed(see(start, left), left, "down")[0].chosen == "third"
    assert pressed(see(start, left), left, "up")[0].chosen == "asking"


@pytest.mark.parametrize("name", ["s", "a", "x"])
def test_what_has_ended_hands_its_keys_to_no_other(name: str) -> None:
    """Who looks at one and presses a key must not reach what has taken its place."""
    start, _ = pressed(model(THREE), THREE, "down")
    left = seen(ASKING, active("third"))
    after, actions = pressed(see(start, left), left, name, "y", *"xyq", "enter")
    assert (after.mode, after.chosen, actions) == (Mode.BOARD, "second", [])
    assert pressed(see(start, left), left, name)[0].note == "second has ended."


def test_a_confirmation_is_void_once_its_delegation_has_ended() -> None:
    asked, _ = pressed(model(THREE), THREE, "down", "x")
    left = seen(ASKING, active("third"))
    after = see(asked, left)
    assert (after.mode, after.note) == (Mode.BOARD, "second has ended.")
    assert pressed(after, left, *"yxy")[1] == []


TYPED = "x y, quit s enter j"


@pytest.mark.parametrize(
    ("found", "opening"),
    [(THREE, "j a"), (seen(), "s"), (seen(), "a"), (THREE, "? s"), (THREE, "x s")],
)
def test_what_is_typed_for_an_input_that_did_not_open_is_no_command(
    found: Seen, opening: str
) -> None:
    before, _ = pressed(model(found), found, *opening.split())
    after, actions = pressed(before, found, *TYPED)
    assert (after.mode, after.chosen, actions) == (Mode.BOARD, before.chosen, [])
    assert "until you pause" in after.note
    for again in (rest(after), press(after, key("enter"), found)[0]):
        assert press(again, key("q"), found)[1] == Wish.QUIT
    assert press(after, key("ctrl-c"), found)[1] == Wish.QUIT


def test_what_is_typed_on_for_an_answer_that_is_not_wanted_any_more_is_no_command() -> None:
    typing, _ = pressed(model(THREE), THREE, "a", *"rej")
    left = seen(active("asking"))
    after, actions = pressed(see(typing, left), left, *"ect: xyq", "enter")
    assert (after.mode, actions) == (Mode.BOARD, [])


@pytest.mark.parametrize("names", [("q",), ("ctrl-c",), ("enter", "ctrl-c"), ("s", "ctrl-c")])
def test_leaving(names: tuple[str, ...]) -> None:
    _, actions = pressed(model(THREE), THREE, *names)
    assert actions == [Wish.QUIT]


def test_the_shell_and_a_spoiled_screen() -> None:
    assert pressed(model(THREE), THREE, "ctrl-z", "s", "ctrl-l")[1] == [Wish.SUSPEND, Wish.REDRAW]


def test_the_pane_opens_scrolls_and_closes() -> None:
    inside, _ = pressed(model(THREE), THREE, "j", "enter")
    assert (inside.mode, inside.peeks) == (Mode.PEEK, "second")
    assert pressed(inside, THREE, "up", "k", "down")[0].scrolled == 1
    assert pressed(inside, THREE, "page up", "end")[0].scrolled == 0
    for name in ("escape", "q", "enter", "p"):
        outside, actions = pressed(inside, THREE, name)
        assert (outside.mode, outside.peeks, actions) == (Mode.BOARD, "", [])
    gone = seen(ASKING)
    assert see(inside, gone).peeks == "second"  # its last words can be read
    assert pressed(see(inside, gone), gone, "escape", "up")[0].chosen == "asking"


MIXED = seen(
    active("asking", asks("bash: rm -rf build"), cost_usd=0.1),
    active("cheap", title="Prune the apples", cost_usd=0.2),
    active("dear", cost_usd=3.0, elapsed_s=9.0),
    ended=(over("gone"), over("past", title="Pick the apples")),
)


def test_what_has_ended_can_be_selected_and_read() -> None:
    down, _ = pressed(model(MIXED), MIXED, "end")
    assert down.chosen == "past"
    reading, _ = pressed(down, MIXED, "enter")
    assert (reading.mode, reading.peeks, reading.pane) == (Mode.PEEK, "past", Pane.RUN)
    whole = seen(peeked=Peeked("past", said="…", is_whole=True))
    assert pressed(reading, whole, "down", "j", "up")[0].scrolled == 1
    after, actions = pressed(reading, MIXED, "x", "y")
    assert (after.mode, actions) == (Mode.PEEK, [])
    assert "past has ended." in after.note


def test_the_panes_change_places_and_close_by_their_own_keys() -> None:
    facts, _ = pressed(model(MIXED), MIXED, "j", "i")
    assert (facts.mode, facts.peeks, facts.pane) == (Mode.FACTS, "cheap", Pane.FACTS)
    assert pressed(facts, MIXED, "p")[0].mode is Mode.PEEK
    assert pressed(facts, MIXED, "p", "i", "i")[0].mode is Mode.BOARD
    steering, _ = pressed(facts, MIXED, "s")
    assert steering.pane is Pane.FACTS
    assert pressed(steering, MIXED, "escape")[0].mode is Mode.FACTS


def test_nothing_is_selected_where_nothing_is_active_until_somebody_moves() -> None:
    idle = seen(ended=(over("gone"),))
    for name in ("enter", "i", "y"):
        after, actions = pressed(model(idle), idle, name)
        assert (after.mode, actions) == (Mode.BOARD, [])
        assert "Nothing is selected" in after.note
    assert pressed(model(idle), idle, "down")[0].chosen == "gone"
    assert see(model(idle), MIXED).chosen == "asking"


def test_a_filter_narrows_at_each_key_and_stays_until_escape() -> None:
    typing, actions = pressed(model(MIXED), MIXED, "/", *"apples")
    assert (typing.mode, typing.words, actions) == (Mode.FILTER, "apples", [])
    assert arranged(typing, MIXED).keys == ["cheap", "past"]
    kept, _ = pressed(typing, MIXED, "enter", "j")
    assert (kept.mode, kept.words, kept.chosen) == (Mode.BOARD, "apples", "cheap")
    assert pressed(kept, MIXED, "/", "backspace")[0].words == "apple"
    assert pressed(kept, MIXED, "escape")[0].words == ""
    assert pressed(typing, MIXED, "escape")[0].words == ""
    pasted, _ = press(pressed(model(MIXED), MIXED, "/")[0], Key("paste", "GONE completed"), MIXED)
    assert arranged(pasted, MIXED).keys == ["gone"]


def test_the_order_goes_round() -> None:
    """What is selected stays so, wherever it moves."""
    now, seen_orders = model(MIXED), []
    for _ in board.ORDERS:
        now, actions = pressed(now, MIXED, "o")
        assert (now.chosen, actions, now.note) == ("asking", [], f"Sorted by {now.order}.")
        seen_orders.append(arranged(now, MIXED).keys[:3])
    assert seen_orders[0] == ["dear", "cheap", "asking"]  # by cost
    assert seen_orders[1][2] == "dear"  # by elapsed time
    assert seen_orders[-1] == ["asking", "cheap", "dear"]


def test_an_id_is_copied_without_its_project() -> None:
    every = seen(active("a-b-c", project="p2"), projects={"p2": "library"})
    start = model(every)
    assert start.chosen == "p2/a-b-c"
    assert pressed(start, every, "y")[1] == [Copy("a-b-c")]
    assert pressed(start, every, "i", "y")[1] == [Copy("a-b-c")]
    assert pressed(start, every, "x", "y")[1] == [Stop("p2/a-b-c")]


def test_an_instruction_is_typed_and_sent() -> None:
    typing, actions = pressed(model(THREE), THREE, "j", "s", *"go ", "backspace", *" on")
    assert (typing.mode, typing.line.text, actions) == (Mode.STEER, "go on", [])
    after, actions = pressed(typing, THREE, "enter")
    assert actions == [Steer("second", "go on")]
    assert (after.mode, after.line.text) == (Mode.BOARD, "")


def test_keys_of_the_board_are_letters_in_an_input() -> None:
    typing, actions = pressed(model(THREE), THREE, "s", *"qx?jy")
    assert (typing.line.text, actions) == ("qx?jy", [])


def test_a_paste_never_sends() -> None:
    typing, _ = pressed(model(THREE), THREE, "s")
    after, action = press(typing, Key("paste", "one\ntwo\n"), THREE)
    assert (after.line.text, action) == ("one\ntwo\n", None)
    on_board, action = press(model(THREE), Key("paste", "xy"), THREE)
    assert (on_board.mode, action) == (Mode.BOARD, None)
    assert pressed(on_board, THREE, *"xy")[1] == []  # what is left of it


def test_nothing_is_not_sent_and_escape_cancels() -> None:
    blank, actions = pressed(model(THREE), THREE, "s", " ", "enter")
    assert (blank.mode, actions) == (Mode.STEER, [])
    after, actions = pressed(blank, THREE, "x", "escape")
    assert (after.mode, after.line, actions) == (Mode.BOARD, Line(), [])


def test_an_input_from_the_pane_returns_to_it() -> None:
    for names in (("s", "escape"), ("s", "a", "enter"), ("x", "n"), ("?", "q"), ("x", "y")):
        after, _ = pressed(model(THREE), THREE, "enter", *names)
        assert (after.mode, after.peeks) == (Mode.PEEK, "asking"), names
    typing, _ = pressed(model(THREE), THREE, "enter", "s")
    assert typing.peeks == "asking"  # which is seen below the input


def test_an_answer_is_for_the_request_that_was_seen() -> None:
    """Whoever typed `always` for one command must not have allowed another one."""
    typing, _ = pressed(model(THREE), THREE, "a", *"once")
    assert pressed(typing, THREE, "enter")[1] == [Answer("asking", "per_1", "once")]
    other = seen(active("asking", asks("bash: rm -rf /", "per_2")))
    after = see(typing, other)
    assert (after.mode, after.line.text) == (Mode.BOARD, "")
    assert after.note == "What asking had asked is answered already."


def test_who_asks_nothing_is_not_answered() -> None:
    after, _ = pressed(model(THREE), THREE, "j", "a")
    assert (after.mode, after.note) == (Mode.BOARD, "second asks nothing.")
    assert press(rest(after), key("j"), THREE)[0].note == ""


@pytest.mark.parametrize(("name", "actions"), [("y", [Stop("asking")]), ("n", []), ("escape", [])])
def test_a_stop_is_asked_for_first(name: str, actions: list[Action]) -> None:
    asked, before = pressed(model(THREE), THREE, "x")
    assert (asked.mode, before) == (Mode.STOP, [])
    after, done = pressed(asked, THREE, name)
    assert (after.mode, done) == (Mode.BOARD, actions)


def test_where_nothing_is_active_keys_say_so() -> None:
    for name in ("s", "a", "x"):
        after, actions = pressed(model(seen()), seen(), name)
        assert (after.mode, after.note, actions) == (Mode.BOARD, "Nothing is active.", [])
    assert pressed(model(seen()), seen(), "enter", "j")[0].mode is Mode.BOARD


NAMES = [*"jkgGpsaxynq?io/", "enter", "escape", "up", "down", "page up", "home", "end", "backspace"]

BOARDS = [THREE, MIXED, seen(), seen(active("third")), seen(ASKING), seen(active("asking"))]


@given(st.lists(st.one_of(st.sampled_from(NAMES), st.sampled_from(BOARDS)), max_size=40))
def test_whatever_happens_it_acts_only_on_what_is_there(steps: list[str | Seen]) -> None:
    """Keys and looks in any order: nothing raises, and a command names what was selected."""
    state, found = Model(), seen()
    for step in steps:
        if isinstance(step, Seen):
            found = step
            state = see(state, found)
            continue
        before = state
        state, action = press(state, key(step), found)
        if isinstance(action, Steer | Answer | Stop):
            assert action.key == before.chosen != ""
        if state.mode is Mode.BOARD and state.chosen:
            assert state.behind is Mode.BOARD


def test_the_bell_rings_for_what_has_ended_or_asks_since_the_last_look() -> None:
    """Not for what was there before, nor twice, nor for what begins or goes on."""
    later, now = NOW + timedelta(seconds=1), NOW + timedelta(seconds=2)

    def asked(when: datetime) -> Seen:
        request = msgspec.structs.replace(asks("bash: ls"), asked_at=when)
        return seen(active("a", request), at=now)

    def ended(when: datetime) -> Seen:
        one = over("b")
        return seen(ended=(one._replace(line=replaced(one.line, ended_at=when)),), at=now)

    for news in (asked, ended):
        assert news(later).has_news(seen(at=NOW))
        assert not news(NOW - timedelta(hours=1)).has_news(seen(at=NOW))
        assert not news(later).has_news(replace(news(later), at=NOW))
    assert not seen(active("new"), at=now).has_news(seen(at=NOW))
