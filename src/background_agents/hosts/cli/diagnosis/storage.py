"""Can records and results be written, is there room, and is what was written sound?"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from background_agents.adapters.files.private import FILE_MODE, FOLDER_MODE
from background_agents.adapters.sqlite.inspection import Condition
from background_agents.hosts.cli.diagnosis.findings import Finding, ok, problem, warning
from background_agents.hosts.cli.diagnosis.scene import Scene, quoted, upgrade

_FULL_BYTES = 10 * 2**20
"""A result may have megabytes, and SQLite's log a few more."""

_SCARCE_BYTES = 100 * 2**20
"""Some weeks of delegating, by the 88 MB of 10,000 delegations."""


def check_folders(scene: Scene) -> Iterator[Finding]:
    """Look at the data folder and the project's folder in it."""
    root, folder = scene.place.data_root, scene.place.folder
    found = list(_check_folder(root))
    if not found and root.exists():
        found = list(_check_folder(folder))
    if not found:
        is_there = folder.exists()
        said = f"Records and results are kept in {folder}"
        found = [ok("storage.folder", f"{said}." if is_there else f"{said}, once there are any.")]
    yield from found


def _check_folder(folder: Path) -> Iterator[Finding]:
    """Yield what is wrong with a folder, which need not exist."""
    name = quoted(folder)
    if folder.is_symlink():
        why = (
            f"{folder} is a symbolic link, which is not followed; what it leads to must stand in "
            "its place."
        )
        yield problem("storage.link", why, _in_its_place(folder))
    elif not folder.exists():
        yield from _check_parent(folder)
    elif not folder.is_dir():
        why = f"{folder} is not a folder, and one is needed in its place."
        yield problem("storage.folder", why, f"mv {name} {name}.aside")
    elif folder.stat().st_uid != os.geteuid():
        why = f"{folder} belongs to another user, who may have run OpenCode as root once."
        yield problem("storage.owner", why, f"sudo chown -R $(id -un) {name}")
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield _unwritable(folder)
    elif folder.stat().st_mode & 0o777 != FOLDER_MODE:
        why = f"Others may look into {folder}, where prompts and results are."
        yield warning("storage.mode", why, f"chmod 700 {name}")


def _check_parent(folder: Path) -> Iterator[Finding]:
    """Find out whether a folder that does not exist could be made."""
    there = next(one for one in folder.parents if one.exists())
    if not there.is_dir():
        why = f"{folder} cannot be made, since {there} is not a folder."
        yield problem("storage.folder", why, f"mv {quoted(there)}{{,.aside}}")
    elif not os.access(there, os.W_OK | os.X_OK):
        yield _unwritable(there)


def _unwritable(folder: Path) -> Finding:
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        why = f"{folder} is on a disk that cannot be written."
        return problem("storage.writable", why, f"sudo mount -o remount,rw {_mount(folder)}")
    mend = f"chmod u+rwx {quoted(folder)}"
    return problem("storage.writable", f"{folder} cannot be written.", mend)


def _mount(folder: Path) -> str:
    return quoted(next(one for one in (folder, *folder.parents) if one.is_mount()))


def _in_its_place(link: Path) -> str:
    """Return the command that replaces a symbolic link by what it leads to."""
    return f"rm {quoted(link)} && mv {quoted(link.resolve())} {quoted(link)}"


def check_room(scene: Scene) -> Iterator[Finding]:
    """Look whether there is room for more, and for rebuilding the database."""
    folder = scene.place.folder
    there = next(one for one in (folder, *folder.parents) if one.is_dir())
    free = shutil.disk_usage(there).free
    size = scene.database.stat().st_size if scene.database.is_file() else 0
    largest = f"du -ah {_mount(there)} 2>/dev/null | sort -rh | head -n 20"
    said = f"{free / 2**20:,.0f} MB are free where {folder} is"
    if free < _FULL_BYTES:
        why = f"The disk is full: {said}. Results cannot be stored; make room. This shows where."
        yield problem("storage.room", why, largest)
    elif free < max(_SCARCE_BYTES, size):
        why = f"{said}, which is not enough for long, nor to rebuild a damaged database."
        yield warning("storage.room", why, largest)
    else:
        yield ok("storage.room", f"{said}.")


def check_database(scene: Scene) -> Iterator[Finding]:
    """Look at every page and every record, as the service does when it starts."""
    path, found = scene.database, scene.inspection
    match found.condition:
        case Condition.ABSENT:
            yield ok("database.sound", "There is no database yet: nothing was delegated here.")
        case Condition.SOUND:
            said = f"The database is sound; delegations in it: {found.delegations}."
            yield ok("database.sound", said)
        case Condition.OLDER:
            said = "The database is sound, and of an older version; the next start mends that."
            yield ok("database.sound", said)
        case Condition.NEWER:
            yield problem("database.newer", found.why, upgrade())
        case Condition.DAMAGED:
            yield _damaged(scene)
        case Condition.UNREADABLE:
            why = f"The database {path} cannot be looked into: {found.why}."
            yield problem("database.readable", why, f"chmod u+rw {quoted(path)}")
    yield from _check_file(path)


def _damaged(scene: Scene) -> Finding:
    said = f"The database {scene.database} is damaged ({scene.inspection.why})."
    if scene.inspection.mends_itself:
        said += (
            " The next start of OpenCode here rebuilds it from what can be read of it and from "
            "the markdown files, and keeps the damaged file beside it."
        )
    else:
        said += (
            " It is so large that a start does not look at all of it, so it is rebuilt when the "
            "damage is met."
        )
    if scene.living:
        said += " Quit OpenCode first."
    return problem("database.damaged", said, scene.here("opencode"))


def _check_file(path: Path) -> Iterator[Finding]:
    if path.is_symlink():
        why = f"{path} is a symbolic link, which is not followed."
        yield problem("database.link", why, _in_its_place(path))
    elif path.exists() and path.stat().st_mode & 0o777 & ~FILE_MODE:
        why = f"Others may read {path}, where prompts are."
        yield warning("database.mode", why, f"chmod 600 {quoted(path)}")


def check_leftovers(scene: Scene) -> Iterator[Finding]:
    """Name what rebuilding has left behind."""
    folder, name = scene.place.folder, scene.database.name
    kept = sorted(folder.glob(f"{name}.damaged-*")) if folder.is_dir() else []
    if kept:
        size = sum(one.stat().st_size for one in kept) / 2**20
        yield warning(
            "database.leftovers",
            f"The database was damaged once and rebuilt. What it was is kept ({size:,.1f} MB); "
            "once you miss nothing, it can go.",
            f"rm {shlex.join(map(str, kept))}",
            *map(str, kept),
        )
