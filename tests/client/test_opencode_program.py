"""Which OpenCode a program is, by what it says or what lies beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from background_agents.client.opencode_program import Line, programs, version_in, version_of


@pytest.mark.parametrize(
    ("said", "text", "line"),
    [
        ("1.18.33\n", "1.18.33", Line.ONE),
        ("opencode2 v0.0.0-next-16350\n", "0.0.0-next-16350", Line.TWO),
        ("opencode v2.1.4", "2.1.4", Line.TWO),
    ],
)
def test_a_version_tells_the_line(said: str, text: str, line: Line) -> None:
    version = version_in(said)
    assert version is not None
    assert (version.text, version.line) == (text, line)


def test_nonsense_is_no_version() -> None:
    assert version_in("no such command") is None


def executable(file: Path, script: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def test_a_package_says_its_version_without_being_run(tmp_path: Path) -> None:
    program = executable(tmp_path / "opencode-ai" / "bin" / "opencode", "exit 1")
    manifest = tmp_path / "opencode-ai" / "package.json"
    manifest.write_text('{"name": "opencode-ai", "version": "1.17.19"}')
    link = tmp_path / "opencode"
    link.symlink_to(program)

    version = version_of(link, {})

    assert version is not None
    assert version.text == "1.17.19"


def test_the_package_of_something_else_does_not_count(tmp_path: Path) -> None:
    program = executable(tmp_path / "mine" / "bin" / "opencode", "echo 2.0.3")
    (tmp_path / "mine" / "package.json").write_text('{"name": "dotfiles", "version": "1.0.0"}')

    version = version_of(program, {"PATH": "/usr/bin:/bin"})

    assert version is not None
    assert version.text == "2.0.3"


def test_one_that_fails_tells_nothing(tmp_path: Path) -> None:
    assert version_of(executable(tmp_path / "opencode", "echo 1.18.33; exit 1"), {}) is None


def test_the_first_is_the_one_that_is_named(tmp_path: Path) -> None:
    one = executable(tmp_path / "opencode", "")
    two = executable(tmp_path / "opencode2", "")
    env = {"PATH": str(tmp_path)}

    assert programs(env) == [one, two]
    assert programs({**env, "OPENCODE_BIN": "/my/opencode"})[0] == Path("/my/opencode")
    assert programs({"PATH": "/nowhere"}) == []
