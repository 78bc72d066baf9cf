"""A clone of a store of ours that an agent works in: no remote, on no branch, nothing converted."""

from __future__ import annotations

from pathlib import Path

from background_agents.adapters.changes.own_repository import (
    OWN,
    OwnRepository,
    alternate,
    furnish,
)
from background_agents.adapters.changes.source import Source, asked
from background_agents.adapters.projects.git import run


def check_out(store: OwnRepository, source: Source, tree: Path, base: str) -> None:
    """Check a commit out into a repository that shares what the store sees, and nothing else."""
    format_ = store.git("rev-parse", "--show-object-format").decode().strip()
    run(("init", "-q", "--template=", f"--object-format={format_}", str(tree)), tree.parent, OWN)
    objects = store.folder / "objects"
    seen = (objects / "info" / "alternates").read_bytes()
    furnish(tree / ".git", alternate(objects) + seen, store.folder)
    for name in ("user.name", "user.email"):
        if value := asked(source.top, "config", name):
            run(("config", name, value), tree, OWN)
    run(("update-ref", "--no-deref", "HEAD", base), tree, OWN)
    run(("read-tree", "--reset", "-u", base), tree, OWN)
