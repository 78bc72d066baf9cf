"""The reference is what the code says, and it leaves nothing out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lab.reference import answers
from lab.reference.pages import FOLDER, pages


@pytest.mark.parametrize("name", pages())
def test_what_is_committed_is_what_would_be_written(name: str) -> None:
    """If not: `make docs` writes it anew."""
    assert (FOLDER / name).read_text("utf-8") == pages()[name]


def test_nothing_is_left_there_from_earlier() -> None:
    found = {str(one.relative_to(FOLDER)) for one in FOLDER.rglob("*") if one.is_file()}
    assert found == set(pages())


def test_every_command_that_writes_json_tells_of_it() -> None:
    assert set(answers.ANSWERS) - set(answers.OPTIONS) == set(answers.with_json())


def test_the_checkout_is_the_one_that_is_documented() -> None:
    assert Path(__file__).resolve().parents[2] / "docs" / "reference" == FOLDER


@pytest.mark.skipif(shutil.which("groff") is None, reason="nothing here reads manual pages")
def test_the_manual_page_is_one() -> None:
    """It is read without a complaint, and no line of ours is lost as a request."""
    page = FOLDER / "man" / "background-agents.1"
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-cbou", "-ww", "-rLL=100n", str(page)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("bga COMMAND ...", "--since WHEN", "state:failed       by state", "EXIT STATUS"):
        assert words in done.stdout, words
