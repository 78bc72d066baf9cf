"""A model sees the files first, with how sure each is, then lines, and where more is."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from background_agents.domain.changes import ABSENT, Changes, Image, Kind
from background_agents.domain.errors import ChangesGone, NotChanged
from background_agents.domain.status import Status
from background_agents.testing.contracts.samples import finished
from background_agents.views.diffs import MODEL_CHARS, for_model, lines, rows
from tests.domain.test_change_sums import LIKELY, SHARED, Contents

ONE = replace(finished(), directory="/src/project")


def test_files_come_first_then_lines() -> None:
    it = Contents()
    made = [
        it.made("a.py", b"1\n2\n3\n", b"1\nB\n3\n"),
        it.made("new", None, b"x", LIKELY),
        it.made("old", b"same", None),
        it.made("moved", None, b"same"),
        it.made("pic", b"\0\1", b"\0\2", SHARED),
    ]
    assert for_model(ONE, made, it.get) == (
        "brave-amber-otter changed 4 files +2 -1, 2 uncertain:\n"
        "M a.py +1 -1\n"
        "R old → moved\n"
        "A new +1 -0 (likely: changed while a command of it ran)\n"
        "M pic (binary; shared: others wrote at the same time)\n"
        "\n"
        "a.py\n"
        "@@ -1,3 +1,3 @@\n"
        " 1\n"
        "-2\n"
        "+B\n"
        " 3\n"
        "\n"
        "new\n"
        "@@ -0,0 +1,1 @@\n"
        "+x\n"
        "\\ No newline at end of file"
    )


def test_a_path_shows_a_file_or_what_is_below_it() -> None:
    it = Contents()
    made = [it.made(path, None, b"x\n") for path in ("d/a", "d/b", "dd")]
    for path in ("d", "d/", "./d", "/src/project/d"):
        told = for_model(ONE, made, it.get, path)
        assert "A d/a" in told
        assert "A d/b" in told
        assert "A dd" not in told
    with pytest.raises(NotChanged, match="nowhere"):
        for_model(ONE, made, it.get, "nowhere")


def test_what_does_not_fit_is_named() -> None:
    it = Contents()
    made = [it.made(f"f{number:04}", None, b"line\n" * 50) for number in range(900)]
    told = for_model(ONE, made, it.get)
    assert len(told) < MODEL_CHARS + 1_000
    assert "… and 800 more files; name a folder" in told
    assert 'delegation_diff("brave-amber-otter", path) shows one' in told


def test_a_long_line_and_what_a_terminal_obeys_are_made_fit() -> None:
    it = Contents()
    told = for_model(
        ONE, [it.made("f\n\x1b[31m", None, b"x" * 9_000 + b"\n\x1b[31m\r\r\n")], it.get
    )
    assert "\x1b" not in told
    assert "\r" not in told
    assert max(map(len, told.splitlines())) < 500
    assert "^M" in told


def test_what_is_not_there_is_said() -> None:
    it = Contents()
    assert "no file, as far as is known" in for_model(ONE, [], it.get)
    running = replace(ONE, status=Status.RUNNING)
    assert "no file so far" in for_model(running, [], it.get)
    with pytest.raises(ChangesGone):
        for_model(replace(ONE, changes=Changes(1)), [], it.get)


def test_modes_links_and_what_is_not_kept_have_words() -> None:
    it = Contents()
    made = it.made("f", b"1", b"1")
    mode = replace(made, path="m", after=it.file(b"1", 0o755))
    link = replace(made, path="l", before=ABSENT, after=Image(Kind.LINK, it.file(b"to").digest))
    large = replace(made, path="x", after=Image(Kind.OPAQUE, why="it is too large"))
    found = {row.path: row for row in rows([mode, link, large], it.get)}
    assert found["m"].about == "mode 644 → 755"
    assert list(lines(found["l"], it.get)) == [("+", "→ to")]
    assert found["x"].about == "not kept: it is too large"
    assert found["x"].added is None
