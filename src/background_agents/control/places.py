"""Where control sockets are: one for each service process, named by it.

``<data root>/sockets/<pid>-<start>.sock``, in a container ``<pid>-<start>@<PID namespace>.sock``.
A name whose process has ended for certain is a leftover, which the next service clears away.
Everything here blocks for microseconds, on the local disk.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from background_agents.adapters.system.processes import has_ended, is_alive

FOLDER = "sockets"

PATH_BYTES = 100
"""Unix allows a socket's path 104 (macOS) to 108 (Linux) bytes, its end included."""


class PathTooLong(OSError):
    """The data folder's path leaves no room for a socket's name."""


def folder(data_root: Path) -> Path:
    """Return the folder of all sockets of this user."""
    return data_root / FOLDER


def path_of(data_root: Path, owner: str) -> Path:
    """Return where the socket of an owner is, be it there or not.

    ``owner`` is as in a delegation's record: a process's name, and how often it lost its claim.
    """
    process = "-".join(owner.split(":")[:2])
    return folder(data_root) / f"{process}.sock"


def owner_of(path: Path) -> str:
    """Return the name of the process whose socket that would be."""
    return path.stem.replace("-", ":", 1)


def living(data_root: Path) -> list[Path]:
    """Return the sockets of processes that live, the youngest process last."""
    found = [
        (made, one)
        for one in _sockets(data_root)
        if is_alive(owner_of(one)) and (made := _made(one)) is not None
    ]
    return [one for _, one in sorted(found)]


def leftovers(data_root: Path) -> list[Path]:
    """Return the sockets of processes that have ended for certain; others are left alone."""
    return [one for one in _sockets(data_root) if has_ended(owner_of(one))]


def _made(path: Path) -> float | None:
    """Return when a socket was made; None where it has been taken away meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _sockets(data_root: Path) -> list[Path]:
    try:
        return sorted(one for one in folder(data_root).iterdir() if one.suffix == ".sock")
    except FileNotFoundError:
        return []


@contextmanager
def short(path: Path) -> Iterator[str]:
    """Give a name for ``path`` that fits into a socket's address, while its folder is held open.

    Raises:
        PathTooLong: it does not fit, and this system has no other name for it.
        OSError: the folder cannot be opened.
    """
    if len(os.fsencode(path)) <= PATH_BYTES:
        yield str(path)
        return
    if not sys.platform.startswith("linux"):
        raise PathTooLong(f"the path {path} is too long for a socket")
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def pid_of(peer: socket.socket) -> int:
    """Return the process at the other end; 0 where it is not told, or is in another namespace."""
    if not sys.platform.startswith("linux"):
        return 0
    told = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(told[:4], sys.byteorder)


def is_same_user(peer: socket.socket) -> bool:
    """Return whether the process at the other end is this user's, as the kernel says."""
    if sys.platform.startswith("linux"):
        told = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        uid = int.from_bytes(told[4:8], sys.byteorder)  # pid, uid, gid
    else:
        told = peer.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 76)
        uid = int.from_bytes(told[4:8], sys.byteorder)  # struct xucred: version, uid, ...
    return uid == os.getuid()


_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1
"""From macOS's ``sys/un.h``; Python has no names for them."""
