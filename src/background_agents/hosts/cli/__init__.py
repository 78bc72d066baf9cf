"""The command line: one small file for each command, imported when it is called.

An error that is meant for people is one sentence on stderr, with the exit code that tells of
it; anything else is a bug and shows its traceback. A command is chosen by its name alone before
anything is parsed, so that no command pays for the others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from background_agents import __version__
from background_agents.domain.errors import DelegationError, InvalidRequest, quote
from background_agents.hosts.cli.exits import Exit, code_of
from background_agents.hosts.cli.output import choose_colours, make_safe
from background_agents.hosts.cli.registry import ACTS, COMMANDS, GROUPS, load

_TELLS_BY_CODE = ("wait", "delegate", "peek")
"""Commands whose exit code says how something has ended that they wait for."""

COLOUR = "--color="

NAMES = ("background-agents", "bga")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name, and exit with its code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    _open_what_is_closed()
    make_safe()
    try:
        code = _code_of(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough of it, as `head` does. Python would complain once
        # more when it closes stdout at its end.
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        name = next((word for word in words if not word.startswith(COLOUR)), "")
        code = Exit.UNHEARD if name in _TELLS_BY_CODE else Exit.DONE
    raise SystemExit(code)


def _code_of(words: Sequence[str]) -> int:
    """Run a command; an error for people is told, and nobody may be there to read that either."""
    try:
        return _run(_coloured(words))
    except DelegationError as error:
        from background_agents.views.errors import for_people

        print(for_people(error), file=sys.stderr)
        return code_of(error)


def _coloured(words: Sequence[str]) -> Sequence[str]:
    """Take out of the words which colours are wanted; what follows ``--`` is text."""
    end = words.index("--") if "--" in words else len(words)
    for word in (one for one in words[:end] if one.startswith(COLOUR)):
        choose_colours(word.removeprefix(COLOUR))
    return [one for one in words[:end] if not one.startswith(COLOUR)] + list(words[end:])


def _open_what_is_closed() -> None:
    """Write into nothing where the shell has closed stdout or stderr, as by ``>&-``."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def _run(words: Sequence[str]) -> int:
    program = _program()
    if "_ARGCOMPLETE" in os.environ:
        # A shell completes what is being typed. The function that it calls for that sets this.
        from background_agents.hosts.cli import complete

        complete.answer(program)
    if not words or words[0] in ("-h", "--help", "help"):
        if len(words) > 1 and words[0] == "help":
            return _run([words[1], "--help"])
        print(_help(program))
        return Exit.DONE
    if words[0] in ("-V", "--version"):
        print(__version__)
        return Exit.DONE
    if words[0] not in COMMANDS:
        raise InvalidRequest(_no_such(program, words[0]))
    command, parser = load(words[0], program)
    given = parser.parse_args(words[1:])
    if words[0] in ACTS:
        from background_agents.control import shells

        # A service looks us up as well; what needs none would be done unseen.
        shells.check(words[0], shells.starter_of())
    return command.run(given) or Exit.DONE


def _program() -> str:
    name = os.path.basename(sys.argv[0])
    return name if name in NAMES else NAMES[0]


def _help(program: str) -> str:
    width = max(map(len, COMMANDS))
    about = "Supervised background delegation for coding agents."
    lines = [f"usage: {program} COMMAND ...", "", about]
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:"]
        lines += (f"  {name:<{width}}  {about}" for name, about in commands.items())
    more = f"`{program} COMMAND --help` says what a command takes."
    return "\n".join([*lines, "", more, f"{COLOUR}always, never or auto goes with any."])


def _no_such(program: str, given: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(given, COMMANDS)
    near.sort(key=lambda name: sorted(name) != sorted(given))  # most slips swap two letters
    instead = f"did you mean {near[0]}?" if near else f"`{program} --help` lists them."
    return f"There is no command {quote(given)}; {instead}"
