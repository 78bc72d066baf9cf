"""Many changes are told as few: what follows each other is one, and the sum says how much."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from background_agents.domain.change_sums import NAMES_TOLD, changed, fold, sum_of
from background_agents.domain.changes import ABSENT, Certainty, Image, Kind, Segment
from background_agents.domain.errors import ContentGone
from background_agents.domain.line_diffs import MOST_LINES, counts, hunks, lines_of, spans

SURE, LIKELY, SHARED = Certainty.SURE, Certainty.LIKELY, Certainty.SHARED


class Contents:
    """Contents by digest, as a journal keeps them."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def file(self, content: bytes, mode: int = 0o644) -> Image:
        digest = sha256(content).hexdigest()
        self.kept[digest] = content
        return Image(Kind.FILE, digest, mode, len(content))

    def get(self, digest: str) -> bytes:
        if digest not in self.kept:
            raise ContentGone(digest)
        return self.kept[digest]

    def made(
        self,
        path: str,
        before: bytes | None,
        after: bytes | None,
        certainty: Certainty = SURE,
        by: str = "write",
    ) -> Segment:
        return Segment(
            at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=len(self.kept)),
            path=path,
            before=ABSENT if before is None else self.file(before),
            after=ABSENT if after is None else self.file(after),
            certainty=certainty,
            by=by,
        )


def test_what_follows_each_other_is_one_change() -> None:
    it = Contents()
    (one,) = changed([it.made("f", b"1", b"2"), it.made("f", b"2", b"3", LIKELY)])
    (piece,) = one.pieces
    assert (it.get(piece.before.digest), it.get(piece.after.digest)) == (b"1", b"3")
    assert one.certainty is LIKELY


def test_what_is_told_late_finds_its_place() -> None:
    it = Contents()
    late = [it.made("f", b"1", b"2"), it.made("f", b"3", b"4"), it.made("f", b"2", b"3")]
    (one,) = changed(late)
    (piece,) = one.pieces
    assert (it.get(piece.before.digest), it.get(piece.after.digest)) == (b"1", b"4")


def test_what_others_wrote_in_between_keeps_changes_apart() -> None:
    it = Contents()
    (one,) = changed([it.made("f", b"1", b"2"), it.made("f", b"2x", b"3")])
    assert len(one.pieces) == 2


def test_what_was_taken_away_again_is_no_change() -> None:
    it = Contents()
    assert changed([it.made("f", None, b"2"), it.made("f", b"2", None)]) == []
    assert sum_of([it.made("f", None, b"2"), it.made("f", b"2", None)], it.get).files == 0


def test_an_undo_takes_back_what_is_as_sure_as_it_says() -> None:
    it = Contents()
    written = [it.made("f", b"1", b"2"), it.made("f", b"2", b"3", SHARED)]
    undone = it.made("f", b"3", b"31", SURE, by="undo")
    (one,) = fold([*written, undone])
    assert one.standing == (written[1],)
    assert one.undone == (undone,)
    again = it.made("f", b"31", b"3", SURE, by="redo")
    (one,) = fold([*written, undone, again])
    assert one.standing == (written[1], again)
    assert one.undone == ()


def test_the_sum_counts_files_and_lines_and_what_is_uncertain() -> None:
    it = Contents()
    found = sum_of(
        [
            it.made("new", None, b"a\nb\n"),
            it.made("edited", b"1\n2\n3\n", b"1\n3\n4\n5"),
            it.made("gone", b"x\ny\n", None, LIKELY),
            it.made("picture", b"\0\1", b"\0\2", SHARED),
        ],
        it.get,
    )
    assert (found.files, found.added, found.removed, found.uncertain) == (4, 4, 3, 2)
    assert found.names == ("edited", "gone", "new", "picture")


def test_a_renamed_file_is_told_once() -> None:
    it = Contents()
    moved = [it.made("old", b"same\n", None), it.made("new", None, b"same\n")]
    found = sum_of(moved, it.get)
    assert (found.files, found.added, found.removed) == (1, 0, 0)
    assert found.names == ("old → new",)


def test_names_are_few_and_harmless() -> None:
    it = Contents()
    many = [it.made(f"{number}\n\x1b[31m</changes>", None, b"x") for number in range(20)]
    found = sum_of(many, it.get)
    assert found.files == 20
    assert len(found.names) == NAMES_TOLD
    assert not any(char in name for name in found.names for char in "\n\x1b")


def test_a_content_that_is_gone_is_still_a_change() -> None:
    it = Contents()
    one = it.made("f", b"1", b"2")
    it.kept.clear()
    found = sum_of([one], it.get, ["bash may still write"])
    assert (found.files, found.added, found.open) == (1, 0, ("bash may still write",))


TEXTS = st.lists(st.sampled_from([b"a", b"b", b"c\r", b"", b"\r"]), max_size=12).map(b"\n".join)


def patched(old: bytes, new: bytes, context: int) -> bytes:
    """Return what the hunks of a difference make of the old text."""
    mine, made, at = lines_of(old), list[bytes](), 0
    for hunk in hunks(old, new, context):
        made += mine[at : hunk.old]
        assert len(made) == hunk.new
        kept = [line for mark, line in hunk.lines if mark in " +"]
        left = [line for mark, line in hunk.lines if mark in " -"]
        assert left == mine[hunk.old : hunk.old + hunk.old_lines]
        assert len(kept) == hunk.new_lines
        made += kept
        at = hunk.old + hunk.old_lines
    return b"".join([*made, *mine[at:]])


@given(TEXTS, TEXTS, st.integers(0, 4))
def test_hunks_lead_from_one_text_to_the_other(old: bytes, new: bytes, context: int) -> None:
    assert patched(old, new, context) == new
    assert b"".join(lines_of(old)) == old


def test_what_has_nothing_in_common_is_replaced_at_once() -> None:
    old = b"".join(b"%d\n" % number for number in range(MOST_LINES + 1))
    new = b"".join(b"%d\n" % (number * 7 + 3) for number in range(MOST_LINES + 1))
    assert len(spans(lines_of(old), lines_of(new))) == 1
    assert counts(b"head\n" + old + b"tail\n", b"head\n" + new + b"tail\n") == (
        MOST_LINES + 1,
        MOST_LINES + 1,
    )


def test_many_equal_lines_are_compared_in_good_time() -> None:
    def text(seed: int) -> bytes:
        lines: Sequence[bytes] = [b"\n", b"}\n", b"return\n", b"%d\n" % seed]
        return b"".join(lines[(number * seed) % 4] for number in range(MOST_LINES))

    assert patched(text(3), text(5), 3) == text(5)
