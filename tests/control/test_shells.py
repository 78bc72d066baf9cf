"""Who started a program: its own environment tells, and that of each of its ancestors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from background_agents.control.shells import MARK, Starter, check, mark_for, starter_of
from background_agents.domain.errors import OnlyByTool, OnlyPeople, OnlyReads
from background_agents.views import errors

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="is read from /proc")

SAY_PID = [sys.executable, "-c", "import os; print(os.getpid(), flush=True); input()"]


def seen_from(*command: str) -> Starter:
    """Start a command that says a pid and waits, and return who started that process."""
    with subprocess.Popen(
        [*command, *SAY_PID], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        found = starter_of(int(process.stdout.readline()))
        process.stdin.close()
    return found


def marked(starter: Starter) -> list[str]:
    """Return the beginning of a command whose shell stays, with the mark in its environment."""
    shell = ["sh", "-c", '"$@"; true', "sh"]
    return ["env", f"{MARK}={mark_for(starter)}", *shell]


def test_a_persons_program_carries_no_mark() -> None:
    assert seen_from("env") is Starter.PERSON
    assert starter_of() is Starter.PERSON


@pytest.mark.parametrize("starter", [Starter.SUPERVISOR, Starter.BACKGROUND])
def test_the_mark_is_inherited(starter: Starter) -> None:
    assert seen_from(*marked(starter)) is starter


@pytest.mark.parametrize("starter", [Starter.SUPERVISOR, Starter.BACKGROUND])
def test_a_mark_that_was_taken_away_is_found_at_an_ancestor(starter: Starter) -> None:
    """The kernel keeps what each process was started with."""
    assert seen_from(*marked(starter), "env", "-u", MARK) is starter
    assert seen_from(*marked(starter), "env", "-i") is starter
    assert seen_from(*marked(starter), "setsid", "-w", "env", "-i") is starter


def test_a_mark_is_not_changed_for_a_better_one() -> None:
    better = f"{MARK}={mark_for(Starter.SUPERVISOR)}"
    assert seen_from(*marked(Starter.BACKGROUND), "env", better) is Starter.BACKGROUND
    inner = marked(Starter.BACKGROUND)
    assert seen_from(*marked(Starter.SUPERVISOR), *inner) is Starter.BACKGROUND


def test_a_mark_that_nobody_knows_counts_as_a_background_agents() -> None:
    """The bridge writes such a one when its service does not say whose shell it is."""
    assert seen_from("env", f"{MARK}=unknown") is Starter.BACKGROUND
    assert seen_from("env", f"{MARK}=") is Starter.PERSON


def test_who_has_ended_is_not_trusted() -> None:
    """Else a program would say what it wants and leave before it is looked at."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert starter_of(process.pid) is Starter.BACKGROUND


def test_of_another_namespace_nothing_is_known() -> None:
    assert starter_of(0) is Starter.PERSON


def test_who_may_act() -> None:
    for act in ("stop", "delegate", "prune"):
        check(act, Starter.PERSON)
        with pytest.raises(OnlyReads, match=f"^{act} was refused: .* may read, not act"):
            check(act, Starter.BACKGROUND)
    check("stop", Starter.SUPERVISOR)
    with pytest.raises(OnlyPeople, match="for people"):
        check("undo", Starter.SUPERVISOR)
    with pytest.raises(OnlyByTool) as refused:
        check("delegate", Starter.SUPERVISOR)
    assert "calls the tool delegate" in errors.for_model(refused.value)
