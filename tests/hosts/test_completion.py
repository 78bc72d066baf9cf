"""Completion, as shells do it: the real shells are asked, and asked quickly."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import resource
import select
import shutil
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from stored import database_of, store

from background_agents.domain.status import Status
from background_agents.hosts.cli.complete import OFFERED
from background_agents.hosts.cli.registry import COMMANDS
from background_agents.testing.contracts.samples import completed, launched, registered

PROGRAMS = Path(sys.executable).parent
"""Where pip puts our programs; as a user has them on PATH."""

LIMIT = 2.5
"""What one press of Tab may take, in starts of a Python that loads the libraries it needs: 60 ms on
the machine on which 0.15 s was found to be felt as a delay, and more on one that is busy."""

DEADLINE_S = 20.0

# What bash does when Tab is pressed after $1: it finds the function, and calls it with these.
BASH = """\
eval "$(background-agents completion bash)"
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
read -r program _ <<< "$1"
[[ $(complete -p "$program") =~ -F\\ ([^ ]+) ]] && "${BASH_REMATCH[1]}" "$program"
printf '%s\\n' "${COMPREPLY[@]}"
"""


# A program with a command that takes every kind of argument that is completed.
LOOK = """\
import sys
from types import SimpleNamespace
from background_agents.hosts.cli import arguments, complete, main, registry

def add_arguments(parser):
    arguments.add_ids(parser, "whose")
    arguments.completed(parser.add_argument("--active"), complete.active_ids)
    arguments.completed(parser.add_argument("--state"), complete.states)
    arguments.completed(parser.add_argument("--agent"), complete.agents)
    arguments.add_place(parser)

def run(given):
    print("looked at", *given.ids)

registry.COMMANDS["look"] = "look at everything"
sys.modules["background_agents.hosts.cli.commands.look"] = sys.modules["__main__"]
main()
"""

PAINT = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()=>][B0]?")
"""How a terminal is told of colours and places."""


@dataclass
class User:
    """Somebody with a home, a project, and shells."""

    root: Path

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": f"{self.root / 'bin'}:{PROGRAMS}:{os.environ['PATH']}",
            "HOME": str(self.root),
            "XDG_DATA_HOME": str(self.root / "data"),
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
        }

    def shell(self, *command: str, cwd: Path | None = None) -> list[str]:
        done = subprocess.run(
            command, cwd=cwd or self.project, env=self.env, capture_output=True, text=True,
            timeout=DEADLINE_S,
        )  # fmt: skip
        assert done.stderr == ""
        return [line.strip() for line in done.stdout.splitlines() if line.strip()]

    def bash(self, typed: str, cwd: Path | None = None) -> list[str]:
        """Return what bash offers after ``typed``."""
        return self.shell("bash", "--norc", "-c", BASH, "bash", typed, cwd=cwd)

    def fish(self, typed: str) -> list[str]:
        """Return what fish offers after ``typed``, each with what it is."""
        script = "background-agents completion fish | source; complete -C $argv[1]"
        return self.shell(need("fish"), "--no-config", "-c", script, typed)


def need(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed here (apt-get install {shell})")
    return found


@pytest.fixture
def user(tmp_path: Path) -> User:
    (tmp_path / "project").mkdir()
    (tmp_path / "bin").mkdir()
    return User(tmp_path)


@pytest.fixture
def project(user: User) -> User:
    """A project with delegations: two that have ended and one that runs, oldest first."""
    path = database_of(user.project, user.env)
    for name in ("brave-amber-otter", "brave-blue-owl"):
        store(path, registered(name), launched(), completed())
    store(path, registered("calm-red-fox"), launched())
    return user


@pytest.fixture
def look(project: User) -> User:
    """The same, with a ``background-agents`` that has a command for every kind of argument."""
    program = project.root / "bin" / "background-agents"
    program.write_text(f"#!{sys.executable}\n{LOOK}")
    program.chmod(0o755)
    return project


def test_bash_offers_the_commands(user: User) -> None:
    assert user.bash("background-agents ") == [*COMMANDS, "help"]


def test_bash_knows_the_short_name(user: User) -> None:
    assert user.bash("bga unin") == ["uninstall"]


def test_bash_offers_the_options_of_the_command_that_is_typed(user: User) -> None:
    assert user.bash("bga install --p") == ["--project", "--print"]
    assert user.bash("bga uninstall --p") == ["--project"]
    assert user.bash("bga -") == ["-h", "--help", "-V", "--version"]


def test_bash_offers_the_choices_of_an_argument(user: User) -> None:
    assert user.bash("bga completion ") == ["bash", "zsh", "fish"]
    assert user.bash("bga help un") == ["undo", "uninstall"]


def test_what_is_no_command_has_nothing_to_offer(user: User) -> None:
    assert user.bash("bga nonsense ") == []


def test_ids_complete_by_their_beginning(look: User) -> None:
    assert look.bash("background-agents look brave-b") == ["brave-blue-owl"]


def test_the_newest_id_comes_first(look: User) -> None:
    ids = ["calm-red-fox", "brave-blue-owl", "brave-amber-otter"]
    assert look.bash("background-agents look ") == ids


def test_an_id_is_not_offered_twice(look: User) -> None:
    assert look.bash("background-agents look calm-red-fox brave-blue-owl b") == [
        "brave-amber-otter"
    ]


def test_only_active_ids_are_offered_where_others_are_no_use(look: User) -> None:
    assert look.bash("background-agents look --active ") == ["calm-red-fox"]


@pytest.mark.parametrize("command", ["peek", "steer", "answer", "extend", "stop", "wait"])
def test_who_acts_is_offered_what_is_active(project: User, command: str) -> None:
    assert project.bash(f"bga {command} ") == ["calm-red-fox"]


def test_delegate_is_offered_agents_and_what_it_may_go_on_from(project: User) -> None:
    assert project.bash("bga delegate ") == ["researcher"]
    assert project.bash("bga delegate --continue brave-b") == ["brave-blue-owl"]


def test_states_and_agents_are_offered(look: User) -> None:
    assert look.bash("background-agents look --state t") == ["timed_out"]
    assert len(look.bash("background-agents look --state ")) == len(Status)
    assert look.bash("background-agents look --agent ") == ["researcher"]


def test_the_project_is_the_one_that_is_named(look: User) -> None:
    typed = f"background-agents look -C {look.project} calm"
    assert look.bash(typed, cwd=look.root) == ["calm-red-fox"]
    assert look.bash("background-agents look calm", cwd=look.root) == []


def test_folders_are_offered_for_the_project(look: User) -> None:
    (look.root / "a file").touch()
    typed = f"background-agents look -C {look.root}/"
    assert look.bash(typed) == [f"{look.root}/{name}/" for name in ("bin", "data", "project")]
    assert look.bash(f"background-agents look -C {look.root}/pr") == [f"{look.root}/project/"]
    assert look.bash("background-agents look -C b", cwd=look.root) == ["bin/"]


def test_a_damaged_database_offers_nothing_and_says_nothing(look: User) -> None:
    database_of(look.project, look.env).write_bytes(b"nonsense" * 1000)
    assert look.bash("background-agents look ") == []


@pytest.mark.alone
def test_of_many_ids_the_newest_are_offered(look: User) -> None:
    path = database_of(look.project, look.env)
    with closing(sqlite3.connect(path)) as connection, connection:
        names = [one[1] for one in connection.execute("PRAGMA table_info(delegations)")][2:]
        rest = ", ".join(names)
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
            f"INSERT INTO delegations (id, {rest}) "
            f"SELECT printf('many-%05d', i), {rest} FROM n, delegations WHERE id = 'calm-red-fox'"
        )
    offered = look.bash("background-agents look ")
    assert offered[0] == "many-20000"
    assert len(offered) == OFFERED
    assert look.bash("background-agents look many-1999")[0] == "many-19999"
    assert look.bash("background-agents look brave-a") == ["brave-amber-otter"]
    for typed in ("", "many-", "brave-a"):
        assert seconds(look, f"background-agents look {typed}") < LIMIT * start(look)


@pytest.mark.alone
def test_a_press_of_the_key_is_answered_at_once(user: User) -> None:
    assert seconds(user, "background-agents ") < LIMIT * start(user)
    assert seconds(user, "background-agents install --") < LIMIT * start(user)


def seconds(user: User, typed: str) -> float:
    """Return what it costs the program to answer a shell: the least of several times.

    The processor's time, which is what it takes on a machine that has nothing else to do.
    """
    asked = {"COMP_LINE": typed, "COMP_POINT": str(len(typed)), "_ARGCOMPLETE": "1"}
    return least(user, "exec background-agents 8>&1 >/dev/null", asked)


def start(user: User) -> float:
    """Return what a start of Python with the libraries costs that completion needs."""
    libraries = "argcomplete, msgspec, sqlite3, dataclasses, json"
    return least(user, f"exec {sys.executable} -c 'import {libraries}; print(1)'", {})


def least(user: User, command: str, asked: dict[str, str]) -> float:
    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        answered = subprocess.run(
            ["bash", "-c", command], env=user.env | asked,
            cwd=user.project, capture_output=True, text=True, check=True, timeout=DEADLINE_S,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert answered.stdout
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    return min(once() for _ in range(5))


def test_fish_offers_words_and_what_they_are(look: User) -> None:
    need("fish")
    assert look.fish("bga inst") == [f"install\t{COMMANDS['install']}"]
    assert look.fish("background-agents look brave-b") == [
        "brave-blue-owl\tcompleted: How PKCE works"
    ]
    assert look.fish("background-agents look --state t") == ["timed_out"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_tab_completes_in_an_interactive_shell(look: User, shell: str) -> None:
    """As a person does it: the key is pressed, and the word appears behind the cursor."""
    start = {
        "bash": ("bash --norc --noprofile", 'eval "$(background-agents completion bash)"'),
        "zsh": (
            f"{need('zsh') if shell == 'zsh' else 'zsh'} -f",
            'autoload -U compinit; compinit -u; eval "$(background-agents completion zsh)"',
        ),
        "fish": (
            f"{need('fish') if shell == 'fish' else 'fish'} --no-config",
            "background-agents completion fish | source",
        ),
    }[shell]
    with in_terminal(start[0].split(), look) as terminal:
        terminal.type(f"{start[1]}; echo rea''dy\r")
        terminal.wait_for("ready")
        terminal.type("background-agents look brave-a\t")
        terminal.wait_for("mber-otter")
        terminal.type("brave-b\t")
        terminal.wait_for("lue-owl")
        terminal.type("\r")
        terminal.wait_for("looked at brave-amber-otter brave-blue-owl")
        terminal.type("true 1 && background-agents look calm\t")
        terminal.wait_for("-red-fox")


class Terminal:
    """The other side of a shell's terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._unread = ""
        self._all = ""

    def type(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def wait_for(self, text: str) -> None:
        """Read until ``text`` was shown since the last one that was waited for."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in PAINT.sub("", self._unread):
            ready, _, _ = select.select([self._descriptor], [], [], deadline - time.monotonic())
            assert ready, f"{text!r} was never shown: {self._all!r}"
            read = os.read(self._descriptor, 65536).decode(errors="replace")
            self._unread += read
            self._all += read
        self._unread = ""


@contextmanager
def in_terminal(command: list[str], user: User) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, 200))
    shell = subprocess.Popen(
        command, cwd=user.project, env=user.env, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Terminal(ours)
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)
