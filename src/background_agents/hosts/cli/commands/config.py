"""``background-agents config``: what is set, where it comes from, and what it could be.

A bad value is shown beside the others, with exit code 2: whoever mends it wants to see both.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Annotated

import msgspec
from msgspec import Meta

from background_agents import config
from background_agents.config.example import example, meanings, toml
from background_agents.config.kinds import FILE_ONLY, KINDS
from background_agents.config.sources import Origin, Reading, Source, defaults
from background_agents.control import shells
from background_agents.domain.errors import InvalidRequest
from background_agents.domain.text import printable
from background_agents.hosts.cli.exits import Exit
from background_agents.hosts.cli.output import add_json, sentence_width, write_json


class SettingSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A setting, as programs are told of it."""

    name: str
    value: Annotated[object, Meta(description="what holds; null where what is given is refused")]
    origin: Annotated[str, Meta(description="`environment`, `file` or `default`")]
    default: object
    allowed: Annotated[str, Meta(description="what it may be, in words")]
    about: Annotated[str, Meta(description="what it does")]
    variable: Annotated[str | None, Meta(description="its environment variable, if it has one")]


class ConfigSheet(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration, as programs are told of it."""

    path: Annotated[str, Meta(description="the configuration file, whether it exists or not")]
    exists: bool
    settings: tuple[SettingSheet, ...]
    errors: Annotated[
        tuple[str, ...], Meta(description="what is refused; while there is any, nothing is served")
    ]


def add_arguments(parser: ArgumentParser) -> None:
    """Take which setting, or what to do with the file."""
    parser.add_argument(
        "name", metavar="NAME", nargs="?", choices=tuple(KINDS), help="this setting only"
    )
    add_json(parser)
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--path", action="store_true", help="say where the file is")
    instead.add_argument(
        "--init", action="store_true", help="write an example file, if there is none"
    )


def run(given: Namespace) -> int:
    """Show the settings, or where they are kept, or write an example of them."""
    path = config.config_path(os.environ)
    if given.path:
        print(path)
        return Exit.DONE
    if given.init:
        shells.check("config --init", shells.starter_of())
        _write_example(path)
        print(f"Written: {path}\nNothing is set in it yet; each line says what could be.")
        return Exit.DONE
    reading = config.read(os.environ)
    shown = [one for one in reading.settings if given.name in (None, one.name)]
    if given.json:
        write_json(_sheet(reading, shown))
    else:
        print(printable("\n".join(_lines(reading, shown))))
        sys.stdout.flush()  # before what follows, where both go to the same place
        for error in reading.errors:
            print(printable(str(error)), file=sys.stderr)
    return Exit.BAD_INPUT if reading.errors else Exit.DONE


def _write_example(path: Path) -> None:
    """Write a new file, and never into one that is there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(example())
    except FileExistsError:
        raise InvalidRequest(
            f"{path} is already there and stays as it is; `background-agents config` shows "
            "what could be added to it."
        ) from None
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written ({error.strerror}).") from error


def _sheet(reading: Reading, shown: list[Source]) -> ConfigSheet:
    about, usual = meanings(), defaults()
    return ConfigSheet(
        path=str(reading.path),
        exists=reading.path.exists(),
        settings=tuple(
            SettingSheet(
                name=one.name,
                value=one.value,
                origin=one.origin.value,
                default=usual[one.name],
                allowed=KINDS[one.name].allowed,
                about=about[one.name],
                variable=_variable(one.name),
            )
            for one in shown
        ),
        errors=tuple(map(str, reading.errors)),
    )


def _lines(reading: Reading, shown: list[Source]) -> Iterator[str]:
    about = meanings()
    if reading.path.exists():
        yield f"File: {reading.path}"
    else:
        yield f"File: {reading.path} (not there; `background-agents config --init` writes one)"
    for one in shown:
        value = "(refused)" if one.value is None else toml(one.value)
        yield f"\n{one.name} = {value}   {_origin(one)}"
        yield from _wrapped(about[one.name])
        yield from _wrapped(f"Allowed: {KINDS[one.name].allowed}.")
        yield from _wrapped(f"Set by: {_variable(one.name) or 'the file only'}.")


def _wrapped(text: str) -> list[str]:
    columns = sentence_width()
    return wrap(text, columns, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def _origin(one: Source) -> str:
    match one.origin:
        case Origin.ENVIRONMENT:
            return f"[{config.variable(one.name)}]"
        case Origin.FILE:
            return "[file]"
        case Origin.DEFAULT:
            return "[default]"


def _variable(name: str) -> str | None:
    return None if name in FILE_ONLY else config.variable(name)
