"""A clone of a store of ours that an agent works in: no remote, on no branch, nothing converted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from background_agents.adapters.changes.own_repository import (
    OWN,
    RAW,
    OwnRepository,
    Source,
    alternate,
)
from background_agents.adapters.projects.git import run


def check_out(store: OwnRepository, source: Source, tree: Path, base: str) -> None:
    """Check a commit out into a repository that shares what the store sees, and nothing else."""
    format_ = store.git("rev-parse", "--show-object-format").decode().strip()
    run(("init", "-q", "--template=", f"--object-format={format_}", str(tree)), tree.parent, OWN)
    git = tree / ".git"
    (git / "info").mkdir(exist_ok=True)
    (git / "info" / "attributes").write_text(RAW)
    for name in ("info/exclude", "shallow"):
        if (store.folder / name).is_file():
            shutil.copyfile(store.folder / name, git / name)
    seen = (store.folder / "objects" / "info" / "alternates").read_bytes()
    alternates = git / "objects" / "info" / "alternates"
    alternates.parent.mkdir(exist_ok=True)
    alternates.write_bytes(alternate(store.folder / "objects") + seen)
    for name in ("user.name", "user.email"):
        if value := asked(source, "config", name):
            run(("config", name, value), tree, OWN)
    run(("update-ref", "--no-deref", "HEAD", base), tree, OWN)
    run(("read-tree", "--reset", "-u", base), tree, OWN)


def asked(source: Source, *what: str) -> str:
    """Return what a working tree says of itself, or nothing."""
    return os.fsdecode(run(what, source.top, fine=(0, 1)).removesuffix(b"\n"))
