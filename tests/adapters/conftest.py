"""A repository of somebody's, and the trees apart that are made from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Main

from background_agents.adapters.isolation.applying import IsolatedWorktrees


@pytest.fixture
def main(tmp_path: Path) -> Main:
    return Main(tmp_path / "main")


@pytest.fixture
def trees(tmp_path: Path) -> IsolatedWorktrees:
    folder = tmp_path / "data" / "project"
    folder.mkdir(parents=True)
    return IsolatedWorktrees(folder)
