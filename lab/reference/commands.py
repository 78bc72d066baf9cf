"""The page about the command line, made of each command's parser."""

from __future__ import annotations

from argparse import Action, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from textwrap import wrap

from background_agents.hosts.cli import NAMES
from background_agents.hosts.cli.registry import COMMANDS, load
from lab.reference import markdown as md

PROGRAM, SHORT = NAMES

ENDLESS = ("*", "+")

USAGE_COLUMNS = 90
"""What a page shows of code without scrolling."""


def page() -> str:
    """Return the page."""
    overview = md.table(["command", "does"], _overview())
    variables = md.table(["variable", "effect"], VARIABLES)
    return md.page("Commands", _HEAD, overview, *_all(), "## Environment", variables, _TAIL)


_HEAD = f"""\
`{PROGRAM} COMMAND`, or `{SHORT} COMMAND` for short. Commands that only look work with OpenCode
closed; those that act are carried out by the process that runs the delegation. `ID` may be given
by as much of it as is unambiguous. How each ends is told by its [exit code](exit-codes.md).
"""

VARIABLES = [
    ("`NO_COLOR`", "no colours; there are none either where the output is not a terminal"),
    ("`FORCE_COLOR`, `CLICOLOR_FORCE`", "colours in any case, unless `NO_COLOR` is set"),
    ("`VISUAL`, `EDITOR`", "what `open` opens folders with"),
    ("`PAGER`", "what `show`, `read`, `transcript`, `diff` show long texts with (`less`)"),
    ("`COLUMNS`", "how wide a line may be"),
    ("`OPENCODE_BIN`", "the OpenCode to start, where `opencode` is not on the `PATH`"),
    ("`OPENCODE_SERVER_PASSWORD`", "the password of the OpenCode that `--url` names"),
    ("`XDG_DATA_HOME`, `XDG_CONFIG_HOME`", "where results and settings are"),
]
"""What of the environment counts, and what for."""

_TAIL = """\
`--color=always`, `--color=never` or `--color=auto` beside any command counts for more than these.
What else can be set is on the page [Configuration](configuration.md).
"""


def _overview() -> list[list[str]]:
    return [[f"[`{name}`](#{name})", md.sentence(about)] for name, about in COMMANDS.items()]


def _all() -> list[str]:
    return [_about(name, load(name, PROGRAM).parser) for name in COMMANDS]


def _about(name: str, parser: ArgumentParser) -> str:
    taken = [one for one in parser._actions if one.dest != "help"]
    parts = [f"## {name}", md.sentence(COMMANDS[name]), md.code(usage(name, taken))]
    if taken:
        rows = [[as_given(one), meaning(one)] for one in sorted(taken, key=_is_option)]
        parts.append(md.table(["argument", "meaning"], rows))
    if parser.epilog:
        is_drawn = parser.formatter_class is RawDescriptionHelpFormatter
        parts.append(md.code(parser.epilog.rstrip()) if is_drawn else parser.epilog)
    return "\n\n".join(parts)


def usage(name: str, taken: Sequence[Action]) -> str:
    """Return how the command is called, options first, each of them whole on its line."""
    given = [_in_usage(one) for one in sorted(taken, key=_is_positional)]
    # What belongs together is kept together by spaces that are no place to break a line.
    words = " ".join(one.replace(" ", "\0") for one in given)
    lines = wrap(
        words,
        USAGE_COLUMNS,
        initial_indent=f"{PROGRAM} {name} ",
        subsequent_indent=" " * len(f"{PROGRAM} {name} "),
        break_on_hyphens=False,
        break_long_words=False,
    )
    return "\n".join(lines).replace("\0", " ") or f"{PROGRAM} {name}"


def _is_option(one: Action) -> bool:
    return bool(one.option_strings)


def _is_positional(one: Action) -> bool:
    return not one.option_strings


def _value(one: Action) -> str:
    """Return how the value is called that an argument takes; empty for a switch."""
    if one.nargs == 0:
        return ""
    if one.choices is not None and one.metavar is None:
        return "{" + ",".join(map(str, one.choices)) + "}"
    name = one.metavar if isinstance(one.metavar, str) else one.dest.upper()
    return f"{name} ..." if one.nargs in ENDLESS else name


def _in_usage(one: Action) -> str:
    if not one.option_strings:
        value = _value(one)
        return f"[{value}]" if one.nargs in ("*", "?") else value
    shown = " ".join([max(one.option_strings, key=len), _value(one)]).strip()
    return shown if one.required else f"[{shown}]"


def as_given(one: Action) -> str:
    return ", ".join(
        md.literal(f"{name} {_value(one)}".strip()) for name in one.option_strings or [""]
    )


def meaning(one: Action) -> str:
    told = (one.help or "").replace("%%", "%")
    if one.choices is None or one.metavar is None:
        return told
    return f"{told}: {', '.join(map(md.literal, one.choices))}"
