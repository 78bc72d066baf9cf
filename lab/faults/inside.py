"""What a process holds that nobody can see from outside; asked by a call or by a signal.

A service of the real bridge has no connection to the driver: it answers SIGUSR1 with a file.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
from pathlib import Path

import msgspec

LOOKS, LOOK_EVERY_S = 500, 0.01
"""A process answers within milliseconds; there is no event for a file that appears."""


class Inside(msgspec.Struct):
    """What the process holds."""

    tasks: int
    """Of asyncio, that have not ended."""
    blocks: int
    """Pieces of memory that Python's objects have, text and numbers included."""
    heap: int
    """Bytes that malloc has given out, which SQLite's are a part of; 0 where it does not say."""


class _MallInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc 2.33 and newer."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def look_inside() -> Inside:
    """Look at this process, whose event loop runs; what nobody holds any more is cleared first."""
    gc.collect()
    return Inside(len(asyncio.all_tasks()), sys.getallocatedblocks(), _heap())


def answer_signals(plan: Path) -> None:
    """Write what this process holds to a file beside ``plan`` at each SIGUSR1."""

    def answer(*_: object) -> None:
        written = _told(plan).with_suffix(".new")
        written.write_bytes(msgspec.json.encode(look_inside()))
        os.replace(written, _told(plan))

    signal.signal(signal.SIGUSR1, answer)


async def inside_of(pid: int, plan: Path) -> Inside:
    """Ask a process by a signal. Raises ``TimeoutError`` if it does not answer."""
    told = _told(plan)
    await asyncio.to_thread(told.unlink, missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    for _ in range(LOOKS):
        if await asyncio.to_thread(told.exists):
            return msgspec.json.decode(await asyncio.to_thread(told.read_bytes), type=Inside)
        await asyncio.sleep(LOOK_EVERY_S)
    raise TimeoutError(f"process {pid} does not say what it holds")


def _told(plan: Path) -> Path:
    return plan.with_suffix(".inside")


def _heap() -> int:
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError):
        return 0
    mallinfo.restype = _MallInfo
    return int(mallinfo().uordblks)
