"""A project whose files are called like modules that we import."""

from __future__ import annotations

from pathlib import Path

import pytest
from plays import Stage, delegate, say

from lab.harness.line import Line
from lab.harness.opencode import running_opencode
from lab.model_server import ModelServer

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.only("1", why="both start our service in the same way"),
]


async def test_a_projects_modules_do_not_stand_in_for_ours(
    tmp_path: Path, model: ModelServer, line: Line
) -> None:
    async with running_opencode(tmp_path / "opencode", model.base_url, line) as opencode:
        for name in ("random", "msgspec", "background_agents"):
            (opencode.home.project / f"{name}.py").write_text("raise SystemExit('the project ran')")
        async with opencode.client() as client, client.events() as events:
            stage = Stage(model, opencode, client, events)
            supervisor = await stage.supervisor()
            await supervisor.turn(delegate("Work.", say("Done.")), say("Off."))
            (name,) = await supervisor.delegated()
            (notice,) = await supervisor.notices()
            assert (notice.id, notice.fields["status"]) == (name, "completed")
