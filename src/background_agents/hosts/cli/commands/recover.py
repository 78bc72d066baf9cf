"""``background-agents recover``: go on with what a process that died has left behind."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from background_agents.client.on_demand import open_in, start
from background_agents.client.owners import left_behind
from background_agents.client.patience import LOOK_AGAIN_S, TAKEOVER_S
from background_agents.client.place import Place
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import NotServed, listed, quote
from background_agents.hosts.cli.arguments import add_place, place_of
from background_agents.hosts.cli.exits import Exit


def add_arguments(parser: ArgumentParser) -> None:
    """Take no more than where."""
    add_place(parser)


def run(given: Namespace) -> int:
    """See to it that a living service has every active delegation of the project."""
    place = place_of(given)
    left = _orphans(place)
    if not left:
        print("Nothing is left behind: whatever is active is run by a living process.")
        return Exit.DONE
    stays = [one for one in left if not Path(one.directory).is_dir()]
    goes_on = [one for one in left if one not in stays]
    for directory in dict.fromkeys(one.directory for one in goes_on):
        _open(replace(place, directory=Path(directory)))
    _wait_until_taken(place, goes_on)
    for one in goes_on:
        print(f"{one.id} is taken over.")
    if stays:
        raise NotServed(_gone(stays))
    return Exit.DONE


def _gone(stays: Sequence[Delegation]) -> str:
    """Say of what cannot be taken over why, and that nothing of it is lost."""
    names = listed([one.id for one in stays])
    folders = ", ".join(dict.fromkeys(quote(one.directory, 200) for one in stays))
    return (
        f"{names} cannot go on, since {folders} is gone; what is stored stays as it is, so bring "
        "the directory back and run `background-agents recover` again."
    )


def _orphans(place: Place) -> list[Delegation]:
    with place.records() as records:
        return left_behind(records.active())


def _open(place: Place) -> None:
    found = open_in(place)
    if found is None:
        start(place)
    else:
        found[0].close()


def _wait_until_taken(place: Place, left: Sequence[Delegation]) -> None:
    names = {one.id for one in left}
    deadline = time.monotonic() + TAKEOVER_S
    while time.monotonic() < deadline:
        if not names & {one.id for one in _orphans(place)}:
            return
        time.sleep(LOOK_AGAIN_S)
    raise NotServed("Not everything was taken over; `background-agents status` shows what is left.")
