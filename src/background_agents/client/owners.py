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
from background_agents.client.connection import Client
from background_agents.client.place import Place
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, NotServed, OwnerElsewhere, OwnerGone
from background_agents.ports.processes import Fate
from background_agents.views.json import ActiveSheet, Sheet, sheet


def client_of(one: Delegation, place: Place) -> Client:
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
        return Client.of(place.data_root, one.owner)
    except NotServed as error:
        if fate is Fate.ELSEWHERE:
            raise OwnerElsewhere(one.id) from error
        raise


def refuse_ended(one: Delegation, instead: str) -> None:
    """Raise ``InvalidRequest`` for a delegation that has ended."""
    if one.is_terminal:
        raise InvalidRequest(f"{one.id} has ended ({one.status}); {instead}.")


def active(place: Place) -> list[ActiveSheet]:
    """Return what is active in a project, oldest first: from its owners, else from the store."""
    with place.records() as records:
        stored = records.active()
    return as_told(place.folder, stored)


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
            with Client.of(folder.parent, owner) as client:
                found = [one for one in client.live() if one.delegation.project == folder.name]
                told |= {one.delegation.id: one for one in found}
        except NotServed:
            continue  # it is shown as stored, and that nobody told of it
    return told


def by_owner(found: Sequence[Delegation]) -> dict[tuple[str, str], list[Delegation]]:
    """Group delegations by the process and the directory that they run in."""
    groups: dict[tuple[str, str], list[Delegation]] = defaultdict(list)
    for one in found:
        groups[one.owner, one.directory].append(one)
    return dict(groups)
