"""``bga recover`` where there is nothing to go on with."""

from __future__ import annotations

import time
from pathlib import Path

from archived import Reader
from msgspec.structs import replace

from background_agents.testing.contracts.samples import launched, registered


def test_what_ran_in_a_directory_that_is_gone_is_said_at_once(tmp_path: Path) -> None:
    """Nobody can take it over, so that nobody is waited for; it stays, should that come back."""
    reader, gone = Reader(tmp_path), tmp_path / "worktree"
    first = replace(registered("lost-tan-owl", owner="0:long ago"), directory=str(gone))
    before = reader.add(first, launched())

    began_s = time.monotonic()
    done = reader.run("recover")

    assert time.monotonic() - began_s < 10
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (3, "")
    assert "lost-tan-owl" in line
    assert f"{str(gone)!r} is gone" in line
    assert "recover" in line
    assert f"lost-tan-owl: {before.status}" in reader.out("show", "lost-tan-owl").splitlines()[0]
