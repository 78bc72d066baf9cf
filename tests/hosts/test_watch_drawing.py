"""What the board looks like: a pure function of the model, what was seen, and the size."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sheetworks import NOW, active, asks, model, over, plain, seen

from background_agents.domain.status import Status
from background_agents.hosts.cli.watching.drawing import Note, Size, draw, overflow
from background_agents.hosts.cli.watching.keys import Line
from background_agents.hosts.cli.watching.model import Mode, Model
from background_agents.hosts.cli.watching.seen import Peeked, Seen
from background_agents.views.json import PeekSheet, RetrySheet, SteerSheet

ASKING = active("brave-amber-otter", asks("bash: git push --force"))
RUNNING = active("quick-silent-heron", model="anthropic/claude-opus-4")
QUEUED = active("calm-violet-wombat", state="registered", place=2, last="")
LOST = active("lost-gone-hare", live=False)
BOARD = seen(
    ASKING,
    RUNNING,
    QUEUED,
    LOST,
    gone=frozenset(["lost-gone-hare"]),
    ended=(over("old-lazy-fox"), over("bad-blue-newt", Status.TIMED_OUT, "Half of it.")),
)

EVIL = "\x1b[31mred\x1b]0;title\x07\r\n\u202efoo 漢字🦦\t" * 8


def shown(found: Seen, columns: int, rows: int, note: Note | None = None, **more: object) -> str:
    lines = draw(model(found, **more), found, Size(columns, rows), note, "~/src/project")
    assert len(lines) == rows
    return "\n".join(plain(lines, columns))


def test_a_wide_board_shows_everything_on_one_line_each() -> None:
    screen = shown(BOARD, 200, 24)
    header, *_ = screen.split("\n")
    assert header.startswith(" background-agents  ~/src/project")
    assert header.endswith("1 waiting, 2 running, 1 registered · 49.4k tokens · $0.0492")
    assert "state       id                  agent    model" in screen
    lines = {line.split()[1]: line for line in screen.split("\n") if "heron" in line}
    for fact in ("running", "anthropic/claude-opus-4", "2m 14s", "12m 46s left", "3", "12.3k"):
        assert fact in lines["quick-silent-heron"]
    does = "$0.0123  Look into the OAuth flow  bash completed: Run the tests"
    assert lines["quick-silent-heron"].endswith(does)
    assert "▸ waiting     brave-amber-otter" in screen
    assert "asks: bash: git push --force" in screen
    assert "waits for a slot, number 2 in the queue" in screen
    assert "1 delegation is left behind by an OpenCode that has ended" in screen
    assert "`background-agents recover`" in screen
    assert "* completed  old-lazy-fox   3m ago  Something             All is well." in screen
    assert screen.split("\n")[-1].startswith("y copy id  o sort  ↑↓ select  / filter  i facts")


def test_a_narrow_board_gives_each_two_lines() -> None:
    screen = shown(BOARD, 60, 20)
    assert "▸ waiting     brave-amber-otter   Look into the OAuth fl" in screen
    assert "completed  old-lazy-fox   3m ago  Something" in screen
    assert "    asks: bash: git push --force" in screen
    assert "    bash completed: Run the tests" in screen
    assert screen.split("\n")[-1].endswith("a answer  x stop  ? help  q quit")


LONG = "brave-amber-otter-of-the-western-hills-and-far-away"


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 118, 160, 200])
def test_a_title_stays_visible_whatever_else_gives_way(columns: int) -> None:
    """A long id is cut before its title is, and costs and times give way to it."""
    ended = over(LONG, title="What should a 429 carry?")
    found = seen(active(LONG, title="Tag and push release", model=LONG, agent=LONG), ended=(ended,))
    screen = shown(found, columns, 30)
    assert "Tag and push re" in screen
    assert "What should a 4" in screen
    assert len(re.findall(r"^. ?\w+ +brave-a|^..\w+  brave-a", screen, re.M)) == 2
    assert ("Tag and push release" in screen) == (columns >= 60)


def test_what_there_are_many_of_takes_a_line_each() -> None:
    """Its title, or what somebody has to know."""
    some = [active(f"number-{one:02}", title=f"Task {one}") for one in range(12)]
    screen = shown(seen(ASKING, *some), 80, 24)
    assert "Task 3" in screen
    assert "asks: bash: git push --force" in screen
    assert "bash completed" not in screen


def test_a_price_that_nobody_knows_is_no_zero() -> None:
    free = active("a-b-c", cost_usd=0.0, unpriced_turns=2)
    screen = shown(seen(free), 200, 20)
    assert "price unknown" in screen.split("\n")[0]
    assert "12.3k  unknown  Look" in screen
    some = shown(seen(free, RUNNING), 200, 20)
    assert "$0.0123+" in some.split("\n")[0]
    assert "$0.0000" not in screen + some


MANY_ENDED = seen(ASKING, ended=tuple(over(f"fox-{one:02}") for one in range(40)))


@pytest.mark.parametrize("rows", [5, 8, 12, 24, 50])
def test_more_have_ended_than_fit_and_the_selected_one_is_shown(rows: int) -> None:
    for one in (0, 7, 39):
        screen = shown(MANY_ENDED, 80, rows, index=one + 1, chosen=f"fox-{one:02}")
        assert f"*▸completed  fox-{one:02}" in screen


def test_only_what_is_meant_is_shown_and_in_which_order() -> None:
    screen = shown(BOARD, 120, 24, words="FOX completed", order="cost")
    assert "/FOX completed  1 of 6 shown · sorted by cost" in screen
    assert "old-lazy-fox" in screen
    assert not {"heron", "newt", "Nothing is"} & set(re.split(r"[\W\d]+| is ", screen))
    assert "Nothing is like that." in shown(BOARD, 120, 24, words="whale")


def test_all_projects_have_a_column() -> None:
    """And two of one id are two."""
    both = seen(
        active("a-b-c", project="p1"),
        active("a-b-c", project="p2", cost_usd=7.0),
        ended=(over("d-e-f", project="p2"),),
        projects={"p1": "orchard", "p2": "library"},
    )
    screen = shown(both, 160, 20, chosen="p2/a-b-c", index=1)
    assert "running  a-b-c  orchard" in screen
    assert "▸ running  a-b-c  library" in screen
    assert screen.count("▸") == 1
    assert "d-e-f  3m ago  library  Something" in screen
    assert "Stop a-b-c?" in shown(both, 160, 20, chosen="p2/a-b-c", mode=Mode.STOP)


def test_a_short_board_keeps_what_is_selected() -> None:
    many = seen(*(active(f"number-{one:02}") for one in range(30)))
    for index in (0, 7, 29):
        screen = shown(many, 100, 10, index=index, chosen=f"number-{index:02}")
        assert f"▸ running  number-{index:02}" in screen
        assert "more" in screen


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_even_a_tiny_terminal_shows_something(rows: int) -> None:
    assert shown(BOARD, 20, rows).split("\n")[-1] == "? help  q quit"


def test_nothing_and_why() -> None:
    assert "Nothing is active." in shown(seen(), 80, 24)
    troubled = seen(trouble="The database cannot be read.")
    screen = shown(troubled, 80, 24)
    assert "! The database cannot be read." in screen
    assert "Nothing is active." not in screen


def test_what_is_wrong_stands_in_for_what_it_does() -> None:
    retry = RetrySheet(attempt=3, message="Overloaded\nsorry", next_at=None)
    screen = shown(seen(active("a-b-c", retry=retry), active("d-e-f", live=False)), 160, 20)
    assert "the provider refuses, attempt 3: Overloaded sorry" in screen
    assert "the process that runs it does not answer" in screen


def test_a_note_takes_the_place_of_the_keys() -> None:
    screen = shown(BOARD, 80, 20, Note("It has\nended.", is_error=True))
    assert screen.split("\n")[-1] == "It has ended."


def pane(text: str, found: Seen = BOARD) -> Seen:
    steers = (
        SteerSheet(text="Go south.", by="command line", sent_at=NOW, confirmed_at=NOW),
        SteerSheet(text="Go east.", by="supervisor", sent_at=NOW, confirmed_at=None),
    )
    sheet = PeekSheet(active=RUNNING, text=text, cut=0, steers=steers)
    return replace(found, peeked=Peeked("quick-silent-heron", sheet=sheet))


PANE = {"mode": Mode.PEEK, "chosen": "quick-silent-heron"}


def test_the_pane_shows_the_end_of_what_is_written_and_the_receipts() -> None:
    found = pane("\n".join(f"line {number}" for number in range(100)))
    screen = shown(found, 80, 20, **PANE)
    assert "quick-silent-heron  running  2m 14s · 12m 46s left · tools: 3" in screen
    assert "── follows ──" in screen
    assert "line 99" in screen
    assert "line 80" not in screen
    assert "[instruction of the user, taken up: Go south.]" in screen
    assert "[instruction of the supervisor, pending: Go east.]" in screen
    most = overflow(model(found, **PANE), found, Size(80, 20))
    top = shown(found, 80, 20, **PANE, scrolled=most)
    assert "line 0\n" in top
    assert "lines up, End follows again ──" in top
    assert shown(found, 80, 20, **PANE, scrolled=10_000).count("line 0\n") == 1


def test_the_pane_of_one_that_has_ended_says_so() -> None:
    said = "\n".join(f"line {number}" for number in range(30))
    found = replace(BOARD, peeked=Peeked("old-lazy-fox", said=said, is_whole=True))
    pane = {"mode": Mode.PEEK, "chosen": "old-lazy-fox"}
    screen = shown(found, 60, 12, **pane)
    assert "old-lazy-fox\nSomething\n── from its beginning ──" in screen.partition("\n")[2]
    assert "line 0\n" in screen
    screen = shown(found, 60, 12, **pane, scrolled=5)
    assert "── 5 lines down, Home goes back ──" in screen
    assert "line 5\n" in screen
    assert "line 4\n" not in screen
    facts = shown(found, 60, 12, mode=Mode.FACTS, chosen="old-lazy-fox")
    assert "line 0" not in facts  # what was looked for is another pane


def test_an_input_shows_its_cursor_however_long_it_is() -> None:
    typed = "begin " + "x" * 200 + "漢字"
    screen = shown(BOARD, 60, 10, mode=Mode.STEER, line=Line(typed, len(typed)))
    assert "漢字" in screen.split("\n")[-2]
    screen = shown(BOARD, 60, 10, mode=Mode.STEER, line=Line(typed, 0))
    assert "Steer brave-amber-otter: begin xxx" in screen.split("\n")[-2]


def test_what_is_asked_stands_above_its_answer() -> None:
    typing = {"mode": Mode.ANSWER, "request": "per_1", "line": Line("once", 4)}
    *_, asked, answer, keys = shown(BOARD, 80, 20, **typing).split("\n")
    assert asked == "brave-amber-otter asks: bash: git push --force"
    assert answer == "Answer (once, always or reject: why): once"
    assert keys == "Enter sends  Esc cancels"
    question = seen(active("a-b-c", asks("Which? (one, two)", kind="question"), asks("More?")))
    screen = shown(question, 80, 20, mode=Mode.ANSWER, request="per_1")
    assert "a-b-c asks: Which? (one, two) (and 1 more)" in screen
    assert "Answer (your words, or reject):" in screen


def test_a_stop_is_asked_for() -> None:
    screen = shown(BOARD, 100, 20, mode=Mode.STOP)
    assert "Stop brave-amber-otter? What it wrote is kept. y/n" in screen


def test_help_names_every_key() -> None:
    screen = shown(BOARD, 80, 20, mode=Mode.HELP)
    for word in (
        "select",
        "peek",
        "facts",
        "filter",
        "sort",
        "copy",
        "steer",
        "answer",
        "stop",
        "follow",
        "quit",
        "Ctrl-Z",
    ):
        assert word in screen


@pytest.mark.parametrize("columns", [20, 60, 100, 200])
def test_what_agents_write_cannot_touch_the_terminal(columns: int) -> None:
    """No control character leaves, no line grows, wide letters are cut by cells."""
    evil = active("evil-evil-evil", asks(EVIL), title=EVIL, agent=EVIL, model=EVIL, last=EVIL)
    found = replace(
        seen(evil, active("b", agent=EVIL, last=EVIL), ended=(over("c", summary=EVIL),)),
        peeked=Peeked("b", sheet=PeekSheet(active=evil, text=EVIL, cut=1, steers=()), said=EVIL),
        trouble=EVIL,
    )
    for mode in Mode:
        typed = Line(EVIL, len(EVIL) // 2)
        screen = shown(
            found, columns, 24, Note(EVIL), mode=mode, chosen="b", line=typed, request="per_1"
        )
        assert not set(screen) & set("\x1b\x07\r\t\u202e"), mode


@given(
    st.integers(1, 220),
    st.integers(1, 60),
    st.sampled_from(list(Mode)),
    st.sampled_from([BOARD, seen(), pane(EVIL), pane("word " * 500), seen(ASKING)]),
    st.integers(0, 400),
)
def test_whatever_the_size_every_line_fits(
    columns: int, rows: int, mode: Mode, found: Seen, scrolled: int
) -> None:
    typed = Line("x" * scrolled, scrolled // 2)
    state: Model = model(found, mode=mode, behind=Mode.PEEK, scrolled=scrolled, line=typed)
    lines = draw(state, found, Size(columns, rows), None, "~/src")
    assert len(lines) == rows
    plain(lines, columns)
    assert overflow(state, found, Size(columns, rows)) >= 0
