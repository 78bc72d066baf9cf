"""``background-agents read``: a result, for a human."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from background_agents.adapters.files.artifacts import body
from background_agents.client.place import Place
from background_agents.client.results import artifacts, note_read
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import NoResult, StoreUnavailable
from background_agents.domain.text import printable
from background_agents.hosts.cli import output, pager
from background_agents.hosts.cli.arguments import add_id, add_place, found_of
from background_agents.views import model as for_model
from background_agents.views.errors import for_people

MOST_RENDERED = 500_000
"""Characters: rendering them takes seconds, and nobody reads so much in a terminal."""


def add_arguments(parser: ArgumentParser) -> None:
    """Take an id, and how the result is written."""
    parser.epilog = (
        "At a terminal the result is rendered; into a pipe or with --raw its file is written as "
        "it is; what is long goes through your $PAGER. What you have delegated in a terminal "
        "counts as read then; what a model has delegated stays unread until that model reads it."
    )
    add_id(parser)
    parser.add_argument("--raw", action="store_true", help="the file as it is, not rendered")
    add_place(parser)
    output.add_json(parser)


def run(given: Namespace) -> None:
    """Write the result of a delegation that has ended."""
    place, one = found_of(given)
    if not one.is_terminal:
        raise NoResult(one.id, one.status)
    files = artifacts(place.folder)
    content = files.raw(one)
    text = content.decode(errors="replace").replace("\r\n", "\n")
    if given.json:
        from background_agents.views.json import read_sheet

        output.write_json(read_sheet(one, files.path(one), body(text)))
    elif not output.is_terminal():
        sys.stdout.buffer.write(content)
    elif given.raw or len(text) > MOST_RENDERED:
        pager.show(printable(text).splitlines())
    else:
        _render(one, body(text))
    sys.stdout.flush()
    try_to_note(one, place)


def try_to_note(one: Delegation, place: Place) -> None:
    """Note that somebody has read a result; say so where that is not possible."""
    try:
        note_read(one, place)
    except StoreUnavailable as error:
        print(f"That you have read it was not noted: {for_people(error)}", file=sys.stderr)


def _render(one: Delegation, result: str) -> None:
    """Write markdown as a terminal shows it; the bytes that a terminal obeys are out of it."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.text import Text

    console = Console(no_color=not output.is_colourful(), highlight=False, width=output.width())
    with console.capture() as rendered:
        console.print(Text(for_model.headline(one), style="bold"))
        console.print()
        # Links would hide where they lead to, and an agent may have written them.
        console.print(Markdown(printable(result), hyperlinks=False))
    pager.show(rendered.get().splitlines())
