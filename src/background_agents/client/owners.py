"""From a delegation's record to the living process that runs it.

Looks go to the store; whatever acts goes to the owner. Where that has died, the error says so
and names what helps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from background_agents.adapters.system.processes import fate_of, has_ended
from background_agents.client.connection import Connection
from background_agents.client.place import Place
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, NotServed, OwnerElsewhere, OwnerGone
from background_agents.ports.processes import Fate
from background_agents.views.json import ActiveSheet, Sheet, sheet


def connection_to(one: Delegation, place: Place) -> Connection:
    """Connect to the process that runs a delegation, which has not ended.

    Raises:
        OwnerGone: that process has ended.
        OwnerElsewhere: it is in another container, and does not answer.
        NotServed: it does not answer.
    """
    fate = fate_of(one.owner)
    if fate is Fate.ENDED:
        raise OwnerGone(one.id)
    try:
        return Connection.of(place.data_root, one.owner)
    except NotServed as error:
        if fate is Fate.ELSEWHERE:
            raise OwnerElsewhere(one.id) from error
        raise


def as_told(folder: Path, stored: Sequence[Delegation]) -> list[ActiveSheet]:
    """Return the active delegations of a project as their owners tell of them; else as stored."""
    told = _told_by_owners(folder, stored)
    now = datetime.now(UTC)
    return [
        told.get(one.id) or ActiveSheet(delegation=sheet(one, now), live=None) for one in stored
    ]


def sheets(folder: Path, stored: Sequence[Delegation]) -> list[Sheet]:
    """Return delegations of a project for programs, with what owners tell of those that run."""
    told = _told_by_owners(folder, [one for one in stored if not one.is_terminal])
    now = datetime.now(UTC)
    return [told[one.id].delegation if one.id in told else sheet(one, now) for one in stored]


def _told_by_owners(folder: Path, stored: Iterable[Delegation]) -> dict[str, ActiveSheet]:
    told: dict[str, ActiveSheet] = {}
    for owner in dict.fromkeys(one.owner for one in stored):
        if has_ended(owner):
            continue
        try:
            with Connection.of(folder.parent, owner) as connection:
                found = [one for one in connection.live() if one.delegation.project == folder.name]
                told |= {one.delegation.id: one for one in found}
        except NotServed:
            continue  # it is shown as stored, and that nobody told of it
    return told


def refuse_ended(one: Delegation, instead: str) -> None:
    """Raise ``InvalidRequest`` for a delegation that has ended."""
    if one.is_terminal:
        raise InvalidRequest(f"{one.id} has ended ({one.status}); {instead}.")


def left_behind(active: Sequence[Delegation]) -> list[Delegation]:
    """Return those whose process has ended for certain."""
    return [one for one in active if has_ended(one.owner)]


def by_owner(found: Sequence[Delegation]) -> dict[tuple[str, str], list[Delegation]]:
    """Group delegations by the process and the directory that they run in."""
    groups: dict[tuple[str, str], list[Delegation]] = defaultdict(list)
    for one in found:
        groups[one.owner, one.directory].append(one)
    return dict(groups)
