"""Services in two PID namespaces on one data folder: neither takes anything from the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from bridged import data_root, service_in

from background_agents.adapters.sqlite.inspection import inspect
from background_agents.config import DATABASE
from background_agents.control.places import FOLDER
from lab.harness.namespaces import INSIDE, why_none

pytestmark = pytest.mark.skipif(why_none() != "", reason=why_none())


def claims(home: Path) -> set[str]:
    """Return whose claims are stored."""
    (database,) = data_root(home).glob(f"*/{DATABASE}")
    return {one.owner for one in inspect(database).leases}


def sockets(home: Path) -> set[str]:
    return {one.name for one in (data_root(home) / FOLDER).iterdir()}


@pytest.mark.parametrize(
    ("first", "second"), [(INSIDE, ()), ((), INSIDE)], ids=["inside first", "outside first"]
)
def test_claim_and_socket_of_another_namespace_are_left_alone(
    tmp_path: Path, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    """Also when it was killed, which nobody in another namespace can know."""
    with service_in(tmp_path, within=first) as one:
        one.attach()
        one.tool("delegation_list")
        (owner,), (socket,) = claims(tmp_path), sockets(tmp_path)
        one.process.kill()
        one.process.wait()
        with service_in(tmp_path, within=second) as other:
            other.attach()
            other.tool("delegation_list")
            assert socket in sockets(tmp_path)
            assert owner in claims(tmp_path)
