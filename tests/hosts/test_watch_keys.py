"""From a terminal's bytes to keys, however the bytes are cut; and a line as it is typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from background_agents.hosts.cli.watching.keys import Key, KeyDecoder, Line, as_typed

PASTED = b"\x1b[200~one\r\ntwo \x1b[A three\x1b[201~"

NAMED = {
    b"\x1b[A": "up",
    b"\x1bOB": "down",
    b"\x1b[1;5C": "right",
    b"\x1b[D": "left",
    b"\x1b[H": "home",
    b"\x1b[4~": "end",
    b"\x1b[3~": "delete",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\r": "enter",
    b"\n": "enter",
    b"\x7f": "backspace",
    b"\x03": "ctrl-c",
    b"\x1a": "ctrl-z",
    b"\x1b\x7f": "ctrl-w",
}


def keys(*pieces: bytes) -> list[Key]:
    decoder = KeyDecoder()
    return [key for piece in pieces for key in decoder.feed(piece)]


@pytest.mark.parametrize(("data", "name"), NAMED.items())
def test_keys_have_names(data: bytes, name: str) -> None:
    assert keys(data) == [Key(name)]


def test_typed_text_is_utf8() -> None:
    assert keys("aß🦦".encode()) == [Key("text", "a"), Key("text", "ß"), Key("text", "🦦")]


def test_a_paste_is_one_key_and_says_nothing_by_its_escapes() -> None:
    assert keys(PASTED, b"q") == [Key("paste", "one\ntwo \x1b[A three"), Key("text", "q")]


@pytest.mark.parametrize(
    ("read", "names"),
    [
        (b"xyz q\rxy\r", [Key("paste", "xyz q\nxy"), Key("enter")]),
        (b"xy", [Key("text", "x"), Key("text", "y")]),
        (b"jjjj", [Key("text", "j")] * 4),
        (b"abc\x7f\x03", [Key("paste", "abc"), Key("backspace"), Key("ctrl-c")]),
        (b"\x1b[B\x1b[Bs", [Key("down"), Key("down"), Key("text", "s")]),
    ],
)
def test_text_that_comes_at_once_is_pasted(read: bytes, names: list[Key]) -> None:
    """Not every terminal marks what it pastes; a held key is no paste."""
    assert as_typed(keys(read)) == names


@given(
    st.lists(
        st.sampled_from([*NAMED, b"x", "ü🦦".encode(), PASTED, b"\x1b[200~\x1b[201~", b"\x1b[99z"]),
        max_size=8,
    ),
    st.data(),
)
def test_wherever_it_is_cut_the_keys_are_the_same(pieces: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(pieces)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=len(whole))))
    cut = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert keys(*cut) == keys(whole)
    assert keys(*(bytes([one]) for one in whole)) == keys(whole)


@given(st.binary(max_size=200))
def test_no_bytes_are_too_much(data: bytes) -> None:
    decoder = KeyDecoder()
    decoder.feed(data)
    decoder.flush()
    assert decoder.patience_s is None
    assert decoder.feed(b"\x03")[-1] == Key("ctrl-c")


def test_a_lone_escape_is_a_key_once_nothing_follows() -> None:
    decoder = KeyDecoder()
    assert decoder.feed(b"\x1b") == []
    assert decoder.patience_s is not None
    assert decoder.flush() == [Key("escape")]
    assert decoder.patience_s is None


def test_alt_and_unknown_sequences_type_nothing() -> None:
    assert keys(b"\x1bq", b"\x1b[<0;1;1M", b"\x1b[27;5u", "\x1bü".encode()) == []


def test_a_paste_without_an_end_is_given_up() -> None:
    """Else everything that is typed later would be taken for it, Ctrl-C too."""
    decoder = KeyDecoder()
    assert decoder.feed(b"\x1b[200~half") == []
    assert decoder.flush() == [Key("paste", "half")]
    assert decoder.feed(b"q") == [Key("text", "q")]


def typed(*pressed: str | Key) -> Line:
    line = Line()
    for one in pressed:
        line = line.press(one if isinstance(one, Key) else Key("text", one))
    return line


def test_a_line_is_edited_at_its_cursor() -> None:
    line = typed("a", "c", Key("left"), "b", Key("end"), "d")
    assert line == Line("abcd", 4)
    assert typed("a", "b", Key("backspace"), Key("backspace"), Key("backspace")) == Line("", 0)
    assert typed("a", "b", Key("home"), Key("delete"), Key("right"), Key("right")) == Line("b", 1)
    assert typed(Key("paste", "say it all"), Key("ctrl-w")) == Line("say it ", 7)
    assert typed(Key("paste", "say it"), Key("ctrl-w"), Key("ctrl-u")) == Line("", 0)
    assert typed(Key("paste", "ab"), Key("left"), Key("ctrl-k"), Key("up")) == Line("a", 1)


@given(st.lists(st.sampled_from(["x", "ü", *map(Key, NAMED.values()), Key("paste", "a b\nc")])))
def test_the_cursor_stays_in_the_line(pressed: list[str | Key]) -> None:
    line = typed(*pressed)
    assert 0 <= line.cursor <= len(line.text)
