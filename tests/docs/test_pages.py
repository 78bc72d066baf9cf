"""What pages say in passing of commands and settings is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from background_agents.config.kinds import FILE_ONLY, KINDS
from background_agents.config.sources import variable
from background_agents.hosts.cli.registry import COMMANDS, load

ROOT = Path(__file__).resolve().parents[2]

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

COMMAND = re.compile(r"`(?:[A-Z_]+=\S+ )?(?:background-agents|bga) ([^`]+)`")

VARIABLE = re.compile(r"\bBACKGROUND_AGENTS_[A-Z_]+\b")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_their_options_exist(page: Path) -> None:
    """Those in code blocks are run elsewhere; these are the ones within sentences."""
    for found in COMMAND.finditer(page.read_text("utf-8")):
        name, *words = found[1].split()
        if name in ("COMMAND", "--help", "help"):
            continue
        assert name in COMMANDS, found[0]
        known = load(name, "background-agents").parser._option_string_actions
        options = [word for word in words if word.startswith("-") and word != "-"]
        assert [one for one in options if one.split("=")[0] not in known] == [], found[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_variables_exist(page: Path) -> None:
    known = {variable(name) for name in KINDS if name not in FILE_ONLY}
    assert set(VARIABLE.findall(page.read_text("utf-8"))) - known == set()
