"""What the documents say about the code is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from background_agents.hosts.opencode.tools import TOOLS
from lab.reference.lifecycle import statuses

ROOT = Path(__file__).resolve().parent.parent


def test_the_lifecycle_diagram_is_the_table() -> None:
    assert f"```mermaid\n{statuses()}\n```" in (ROOT / "docs/architecture.md").read_text("utf-8")


def test_the_readme_names_every_tool() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in TOOLS if f"`{name}(" not in readme] == []


def test_every_link_inside_the_project_leads_somewhere() -> None:
    broken = [
        f"{page.name}: {link}"
        for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        if not (page.parent / link).exists()
    ]
    assert broken == []
