"""The manual page for ``man``, made of the same parsers as the page about commands.

Installed with the package below ``share/man``, where ``man`` looks beside the programs on ``PATH``.
"""

from __future__ import annotations

from argparse import Action, RawDescriptionHelpFormatter

from background_agents.hosts.cli import NAMES
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.registry import GROUPS, load
from lab.reference import commands
from lab.reference import markdown as md

PROGRAM, SHORT = NAMES


def files() -> dict[str, str]:
    """Return the pages, by their names."""
    return {f"{PROGRAM}.1": page(), f"{SHORT}.1": f".so man1/{PROGRAM}.1\n"}


def page() -> str:
    """Return the page; without a date, since it is the same until a command changes."""
    told = md.told_of_members(Exit)
    codes = (f".TP\n{one.value}\n{_text(told.get(one.name, _DONE))}" for one in Exit)
    parts = [
        f'.\\" Made by `python -m lab.reference`; edits here are lost.\n.TH {PROGRAM.upper()} 1',
        f".SH NAME\n{PROGRAM}, {SHORT} \\- supervised background delegation for coding agents",
        f".SH SYNOPSIS\n.B {_text(SHORT)}\n.I COMMAND\n\\&...",
        f".SH DESCRIPTION\n{_text(_ABOUT)}",
        *(f".SH {name.upper()}\n" + "\n".join(map(_command, group)) for name, group in _GROUPS),
        ".SH EXIT STATUS\n" + "\n".join(codes),
        ".SH ENVIRONMENT\n" + "\n".join(map(_variable, commands.VARIABLES)),
    ]
    return "\n".join(parts) + "\n"


_GROUPS = GROUPS.items()

_DONE = "It did what was asked."

_ABOUT = """\
Commands that only look work with OpenCode closed; those that act are carried out by the process
that runs the delegation. ID may be given by as much of it as is unambiguous. --color=always,
never or auto goes with any command, as --help does."""


def _command(name: str) -> str:
    parser = load(name, SHORT).parser
    taken = [one for one in parser._actions if one.dest != "help"]
    about = md.sentence(parser.description or "")
    parts = [f".SS {name}\n{_text(about)}", f".PP\n.nf\n{_text(commands.usage(name, taken))}\n.fi"]
    parts += map(_argument, sorted(taken, key=lambda one: bool(one.option_strings)))
    if parser.epilog and parser.formatter_class is RawDescriptionHelpFormatter:
        parts.append(f".PP\n.nf\n{_text(parser.epilog.rstrip())}\n.fi")
    elif parser.epilog:
        parts.append(f".PP\n{_text(parser.epilog)}")
    return "\n".join(parts)


def _argument(one: Action) -> str:
    return (
        f".TP\n.B {_text(_plain(commands.as_given(one)))}\n{_text(_plain(commands.meaning(one)))}"
    )


def _variable(row: tuple[str, str]) -> str:
    return f".TP\n.B {_text(_plain(row[0]))}\n{_text(_plain(row[1]))}"


def _plain(markdown: str) -> str:
    return markdown.replace("`", "")


def _text(text: str) -> str:
    """Return text as roff takes it: no line of it is a request, and a hyphen can be copied."""
    shown = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(
        f"\\&{line}" if line[:1] in (".", "'") else line for line in shown.splitlines()
    )
