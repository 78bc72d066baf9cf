"""Delegations in a database of a project, put there as the service does, without one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from functools import reduce
from pathlib import Path

from background_agents.adapters.projects.identity import project_id
from background_agents.adapters.sqlite import rows
from background_agents.adapters.sqlite.schema import connect
from background_agents.config import DATABASE, data_root
from background_agents.domain import delegation as domain
from background_agents.domain.events import Event, Registered
from background_agents.ports.storage import Change, Lease


def database_of(folder: Path, env: Mapping[str, str]) -> Path:
    """Return where the project of ``folder`` has its database."""
    return data_root(env) / project_id(folder, data_root(env)) / DATABASE


def store(path: Path, first: Registered, *later: Event) -> None:
    """Store a delegation and what happened to it."""
    with closing(connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        delegation = rows.register(connection, first)
        if later:
            after = reduce(domain.apply, later, delegation)
            rows.commit(connection, Change(after=after, events=later))
        connection.execute("COMMIT")


def claim(path: Path, lease: Lease) -> None:
    """Store the claim of a process."""
    with closing(connect(path)) as connection:
        rows.claim(connection, lease)
