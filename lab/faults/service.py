"""The service as a process that can be hurt: ``python -m …faults.service PLAN SOCKET``.

It is the one that ships, from the host to the database. Only its runtime and channel are in
the driver, its clock can be stepped, and it ends where its plan says so. With ``bridge`` in
the place of the socket's number it serves the real bridge and the real OpenCode instead.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import signal
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from background_agents import app, config
from background_agents.adapters.opencode.v1.channel import OpenCodeChannel
from background_agents.adapters.opencode.v1.runtime import OpenCodeRuntime
from background_agents.adapters.opencode.v2.channel import OpenCode2Channel
from background_agents.adapters.opencode.v2.runtime import OpenCode2Runtime
from background_agents.adapters.system.clock import SystemClock
from background_agents.control import protocol
from background_agents.hosts.opencode import server
from background_agents.hosts.opencode.tools import NAMES
from background_agents.hosts.opencode.v1.hooks import OpenCodeHooks
from background_agents.log import open_log
from background_agents.rpc.connection import Answerer, Connection
from background_agents.rpc.descriptor import open_descriptor, pump
from background_agents.rpc.messages import RpcError
from background_agents.service.delivery import toasts
from background_agents.service.running import streamed
from background_agents.testing.scripts import READABLE_ID
from lab.faults import points
from lab.faults.inside import Inside, answer_signals, look_inside
from lab.faults.remote import RemoteChannel, RemoteRuntime

PASSING = re.compile(
    r"(?:notices for|receipt of|toast in|title of|hooks of|changes of|leftovers in) "
    rf"|{READABLE_ID.pattern}"
)
"""Names of the tasks that end by themselves; others follow something for ever."""

QUIET_LIMIT_S = 3.0
"""A toast comes 50 ms after its notice; what takes longer than this waits for something."""

JOURNAL_PACE = timedelta(milliseconds=40)
"""So that runs of a tenth of a second are kept while they stream, as long ones are."""

TOAST_SHOWN = timedelta(milliseconds=20)
"""Nobody reads a toast here, and what is told after it shall not wait for seconds."""

LEAK_BYTES = 16_384
"""What a forgotten run with a page of text would hold."""

FEW_BYTES = 64
"""No file may grow beyond this while the disk is full."""


class Trouble(msgspec.Struct):
    """What is to go wrong inside the process, until it is told otherwise."""

    disk_full: bool = False
    clock_step_s: float = 0.0
    leaking: bool = False
    """Each tool call leaves behind a task, a descriptor and some memory."""


_LEAKED: list[object] = []
"""What was left behind; nothing is as long as this is empty."""


class SteppingClock(SystemClock):
    """A clock whose wall time somebody else has changed."""

    step = timedelta(0)

    def now(self) -> datetime:
        return super().now() + SteppingClock.step


def main() -> None:
    """Serve one connection until it is closed, or until the armed point is reached."""
    plan = Path(sys.argv[1])
    if sys.argv[2] == "bridge":
        # Whichever line of OpenCode it serves; a process is attached to one only.
        runtimes = (OpenCodeRuntime, OpenCode2Runtime)
        points.arm(plan, runtimes, (OpenCodeChannel, OpenCode2Channel))
        answer_signals(plan)
        server.main()
        return
    if plan.exists():
        points.arm(plan, [RemoteRuntime], [RemoteChannel])
    setattr(streamed, "PACE", JOURNAL_PACE)  # noqa: B010
    setattr(toasts, "SHOWN", TOAST_SHOWN)  # noqa: B010
    asyncio.run(_serve(int(sys.argv[2])))


async def _serve(descriptor: int) -> None:
    reader, write = await open_descriptor(descriptor)
    data_root = config.data_root(os.environ)
    settings = config.load(os.environ)
    open_log(data_root, settings.log)
    host = server.Host(app.App(settings, data_root, NAMES), os.environ)
    runtime: list[RemoteRuntime] = []
    connection = Connection(
        write,
        calls={
            "tool": _leaking(host.tool),
            "rest": _rest,
            "trouble": _trouble,
            "inside": _inside,
        },
        notes={
            "attach": host.attach,
            "event": host.event,
            "happened": lambda raw: runtime[0].hear(raw),
        },
        translate=_translate,
    )
    runtime.append(RemoteRuntime(connection))
    _rewire(runtime[0])
    host.connect(connection)
    await pump(reader, connection.feed)
    await connection.close("The driver has closed it.")
    await host.close()


def _rewire(runtime: RemoteRuntime) -> None:
    """Let the composition root find the driver's runtime where OpenCode's would be."""
    replaced: Sequence[tuple[object, str, object]] = (
        (app.App, "runtime", lambda *_: runtime),
        (app, "_channel", RemoteChannel),
        (app, "SystemClock", SteppingClock),
        (server, "_hooks", OpenCodeHooks),
    )
    for where, name, instead in replaced:
        if not hasattr(where, name):
            raise AssertionError(f"the composition root has no {name} any more")
        setattr(where, name, instead)


async def _rest(_raw: msgspec.Raw) -> list[str]:
    """Return once nothing goes on any more; else the names of what still does."""
    while True:
        # What was held back until a toast was gone begins in the meantime.
        await asyncio.sleep(2 * TOAST_SHOWN.total_seconds())
        passing = [task for task in asyncio.all_tasks() if PASSING.match(task.get_name())]
        if not passing:
            return []
        _, late = await asyncio.wait(passing, timeout=QUIET_LIMIT_S)
        if late:
            return sorted(task.get_name() for task in late)


async def _inside(_raw: msgspec.Raw) -> Inside:
    return look_inside()


def _leaking(answer: Answerer) -> Answerer:
    """Return ``answer``, after which things stay behind while that is the trouble."""

    async def leaking(raw: msgspec.Raw) -> object:
        if _LEAKED:
            for_ever = asyncio.create_task(asyncio.Event().wait())
            _LEAKED.append((for_ever, os.dup(0), bytes(LEAK_BYTES)))
        return await answer(raw)

    return leaking


async def _trouble(raw: msgspec.Raw) -> None:
    told = msgspec.json.decode(raw, type=Trouble)
    _LEAKED[:] = [*_LEAKED, ()] if told.leaking else []
    SteppingClock.step = timedelta(seconds=told.clock_step_s)
    # Without this the kernel would end the process instead of failing the call.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    limit = FEW_BYTES if told.disk_full else hard
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))


def _translate(error: Exception) -> RpcError | None:
    return RpcError(protocol.REFUSED, str(error))


if __name__ == "__main__":
    main()
