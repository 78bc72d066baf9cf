"""A patch of changes is what ``git apply`` makes of it, forwards and backwards."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from background_agents.adapters.changes.patches import patch
from background_agents.domain.change_sums import changed
from background_agents.domain.changes import ABSENT, Image, Kind, Segment
from background_agents.domain.errors import InvalidRequest
from tests.client.trees import snapshot
from tests.domain.test_change_sums import Contents

CONTENTS = st.one_of(
    st.lists(st.sampled_from([b"a", b"b", b"", b"c\r", b"-- x", b"+++ b/f"]), max_size=9).map(
        b"\n".join
    ),
    st.binary(min_size=1, max_size=200).map(lambda some: b"\0" + some),
)

NAMES = st.sampled_from(
    ["f", "with space", 'quote"d', "back\\slash", "tab\tbed", "new\nline", "ä漢", "d/e/f", "\x01"]
)


def image(it: Contents, given: tuple[str, bytes, bool] | None) -> Image:
    if given is None:
        return ABSENT
    kind, content, may_run = given
    made = it.file(content, 0o755 if may_run else 0o644)
    if kind == "link" and content and b"\0" not in content:
        return replace(made, kind=Kind.LINK, mode=0)
    return made


def put(folder: Path, it: Contents, path: str, one: Image) -> None:
    whole = folder / path
    whole.parent.mkdir(parents=True, exist_ok=True)
    if one.kind is Kind.LINK:
        whole.symlink_to(it.get(one.digest).decode())
    elif one.is_there:
        whole.write_bytes(it.get(one.digest))
        whole.chmod(one.mode)


def files_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {name: one for name, one in snapshot(folder).items() if one[0] & 0o170000 != 0o040000}


THINGS = st.none() | st.tuples(st.sampled_from(["file", "link"]), CONTENTS, st.booleans())


def applied(folder: Path, text: bytes, *more: str) -> None:
    command = ["git", "apply", "--whitespace=nowarn", *more, "-"]
    subprocess.run(command, cwd=folder, input=text, check=True, capture_output=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, st.tuples(THINGS, THINGS), min_size=1, max_size=4))
def test_git_takes_it_forwards_and_backwards(
    changes: dict[str, tuple[tuple[str, bytes, bool] | None, tuple[str, bytes, bool] | None]],
) -> None:
    it = Contents()
    made = it.made("x", None, b"")
    images = {path: (image(it, old), image(it, new)) for path, (old, new) in changes.items()}
    segments = [
        Segment(at=made.at, path=path, before=old, after=new) for path, (old, new) in images.items()
    ]
    pieces = [piece for one in changed(segments) for piece in one.pieces]
    text = b"".join(patch(pieces, it.get))
    with tempfile.TemporaryDirectory() as name:
        old, new = Path(name) / "old", Path(name) / "new"
        for folder, at in ((old, 0), (new, 1)):
            folder.mkdir()
            for path, both in images.items():
                put(folder, it, path, both[at])
        before, after = files_of(old), files_of(new)
        if not text:
            assert before == after
            return
        applied(old, text)
        assert files_of(old) == after
        applied(old, text, "-R")
        assert files_of(old) == before


def test_pieces_of_one_file_follow_each_other(tmp_path: Path) -> None:
    it = Contents()
    lines = [b"%d\n" % number for number in range(20)]
    first, second = [*lines], [*lines]
    first[1] = b"A\n"
    theirs = [*first]
    theirs[10] = b"theirs\n"
    second = [*theirs]
    second[18] = b"B\n"
    made = [
        it.made("f", b"".join(lines), b"".join(first)),
        it.made("f", b"".join(theirs), b"".join(second)),
    ]
    text = b"".join(patch(made, it.get))
    (tmp_path / "f").write_bytes(b"".join(second))
    applied(tmp_path, text, "-R")
    kept = [*lines]
    kept[10] = b"theirs\n"
    assert (tmp_path / "f").read_bytes() == b"".join(kept)


def test_what_git_takes_from_nobody_is_named_and_spoils_nothing(tmp_path: Path) -> None:
    it = Contents()
    made = [
        it.made("/etc/x", None, b"x"),
        it.made(".git/hooks/x", None, b"x"),
        it.made("f", None, b"good"),
        replace(it.made("g", b"1", b"2"), after=Image(Kind.OPAQUE, why="it is too large")),
        it.made("lost", None, b"lost"),
    ]
    del it.kept[made[-1].after.digest]
    text = b"".join(patch(made, it.get))
    assert text.count(b"# Not in this patch: ") == 4
    assert b"# Not in this patch: g (it is too large)\n" in text
    applied(tmp_path, text)
    assert (tmp_path / "f").read_bytes() == b"good"


def test_without_git_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    it = Contents()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidRequest, match=r"patch cannot be written: .*git is not installed"):
        list(patch([it.made("f", None, b"x")], it.get))
