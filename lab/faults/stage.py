"""The driver of one case: a scripted OpenCode that lives on while its services die.

Starts a service, starts the next one as soon as one has died, and plays what the models do
meanwhile. Like a model, it looks before it repeats a call whose answer never came.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from background_agents.ports.runtime import RuntimeEvent
from background_agents.rpc.connection import Connection
from background_agents.rpc.descriptor import pump
from background_agents.rpc.messages import CLOSED, RpcError
from background_agents.testing.runtime import ScriptedChannel, ScriptedRuntime
from background_agents.testing.scripts import script
from background_agents.testing.waiting import Changes
from lab.faults.inside import Inside
from lab.faults.remote import happened, serve, translate
from lab.faults.service import Trouble

T = TypeVar("T")

LIMIT_S = 30.0
"""What takes some 50 ms when the machine is idle; a start of Python is ten times that."""

END_LIMIT_S = 10.0
"""The service gives itself two seconds to end."""

MOST_LIVES = 8
"""More deaths than any plan asks for."""

LISTED = re.compile(r"^- (\S+) \[", re.MULTILINE)

NAMED = re.compile(r"<task-id>([^<]+)</task-id>")

ENDING = "<task-notification>"


class Died(Exception):
    """The service died before it had answered."""


class _Answer(msgspec.Struct):
    output: str


class Stage:
    """A project with one supervisor, whose services come and go."""

    def __init__(
        self,
        folder: Path,
        plan: Sequence[str] | None,
        env: Mapping[str, str],
        *,
        most_lives: int = MOST_LIVES,
    ) -> None:
        self.folder = folder
        self.runtime = ScriptedRuntime()
        self.channel = ScriptedChannel(self.runtime)
        self.supervisor = self.runtime.add_session()
        self.changes = Changes()
        """Tells of each event, delivery and new life."""
        self.names: list[str] = []
        """The delegations, in the order in which they were made."""
        self.pids: list[int] = []
        self.exits: list[int] = []
        self.restarting = True
        self._env = env
        self._most_lives = most_lives
        self._connection: Connection | None = None
        self._write: Callable[[bytes], None] = lambda _: None
        self._close: Callable[[], None] = lambda: None
        self._problem: str | None = None
        self.plan = folder / "plan"
        if plan is not None:
            self.plan.write_text("\n".join(plan), "utf-8")
        (folder / "project").mkdir()
        self.runtime.subscribe(lambda _: self.changes.tell())

    @property
    def data(self) -> Path:
        return self.folder / "data" / "opencode" / "delegations"

    # --- what models do ----------------------------------------------------------

    async def delegate(self, *steps: Mapping[str, object], **args: object) -> str:
        """Delegate a task and return its id, however often the service dies meanwhile."""
        prompt = f"Task {len(self.names) + 1}.\n{script(*steps)}"
        return await self.delegate_as(self.supervisor, self.names, prompt, **args)

    async def delegate_as(self, session: str, names: list[str], prompt: str, **args: object) -> str:
        """Delegate for a supervisor, as ``delegate``; ``names`` are all those that it has."""
        given = {"prompt": prompt, "agent": "build", **args}
        while True:
            with suppress(Died):  # whether it took effect, the list shows
                await self.tool_as(session, "delegate", given)
            listed: list[str] = LISTED.findall(await self.insist_as(session, "delegation_list"))
            new = [name for name in listed if name not in names]
            if new:
                (name,) = new
                names.append(name)
                return name

    async def insist(self, tool: str, **args: object) -> str:
        """Call a tool until a service has lived to answer it."""
        return await self.insist_as(self.supervisor, tool, **args)

    async def insist_as(self, session: str, tool: str, **args: object) -> str:
        """Call a tool, as ``insist``, for the model of another session."""
        while True:
            with suppress(Died):
                return await self.tool_as(session, tool, args)

    async def tool(self, tool: str, **args: object) -> str:
        """Call a tool for the supervisor's model; a refusal is an answer too. Raises ``Died``."""
        return await self.tool_as(self.supervisor, tool, args)

    async def tool_as(self, session: str, tool: str, args: Mapping[str, object]) -> str:
        """Call a tool, as ``tool``, for the model of another session."""
        params = {"instance": 1, "tool": tool, "session": session, "args": args}
        try:
            return (await self._call("tool", params, _Answer)).output
        except RpcError as error:
            if error.code == CLOSED:
                raise Died from error
            return error.message

    # --- what can be waited for --------------------------------------------------

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once ``holds`` does; it is asked at each change."""

        def ready() -> bool:
            if self._problem:
                raise AssertionError(self._problem)
            return holds()

        await self.changes.until(ready, limit_s=LIMIT_S)

    async def wrote(self, text: str) -> None:
        """Return once an agent has written ``text``."""

        def seen() -> bool:
            entries = (e for one in self.runtime.sessions.values() for e in one.entries.values())
            return any(entry.answers and text in entry.text for entry in entries)

        await self.until(seen)

    async def told(self, count: int) -> None:
        """Return once so many endings are in the supervisor's transcript."""
        await self.until(lambda: len(set(self.endings())) >= count)

    def endings(self) -> list[str]:
        """Return the delegation of each notice of an ending, as the transcript has them."""
        texts = (text for parts in self.channel.delivered(self.supervisor) for text in parts)
        return [NAMED.findall(text)[0] for text in texts if text.startswith(ENDING)]

    def notices(self, tag: str) -> int:
        """Count the notices of a kind."""
        texts = (text for parts in self.channel.delivered(self.supervisor) for text in parts)
        return sum(text.startswith(f"<{tag}>") for text in texts)

    def is_told(self, words: str) -> bool:
        """Return whether any notice in the supervisor's transcript says these words."""
        delivered = self.channel.delivered(self.supervisor)
        return any(words in text for parts in delivered for text in parts)

    def asked(self) -> list[str]:
        """Return the requests that wait for an answer."""
        return [name for one in self.runtime.sessions.values() for name in one.open]

    async def rest(self) -> None:
        """Return once a service has nothing left to do."""
        while True:
            # Answered once the project is open: a service that has just begun rests, too.
            await self.insist("delegation_list")
            try:
                late = await self._call("rest", None, list[str])
            except RpcError as error:
                if error.code != CLOSED:
                    raise
                continue
            if late:
                raise AssertionError(f"still going on: {late}")
            return

    async def inside(self) -> Inside:
        """Return what the service that runs now holds."""
        return await self._call("inside", None, Inside)

    async def trouble(
        self, *, disk_full: bool = False, clock_step_s: float = 0.0, leaking: bool = False
    ) -> None:
        """Let something go wrong inside the service, or set it right again."""
        await self._call("trouble", Trouble(disk_full, clock_step_s, leaking), object)

    @property
    def lives(self) -> bool:
        """Whether a service can be killed just now."""
        return len(self.pids) > len(self.exits)

    async def kill(self) -> None:
        """Kill the service that runs now, and return when it is dead."""
        deaths = len(self.exits)
        os.kill(self.pids[-1], signal.SIGKILL)
        await self.until(lambda: len(self.exits) > deaths)

    async def quit(self) -> None:
        """End OpenCode as its user does, and start it again: runs end first, then the service."""
        deaths = len(self.exits)
        for session in self.runtime.sessions.values():
            session.end_with_runtime()
        if self._connection is not None:
            self._close()
            await self.until(lambda: len(self.exits) > deaths)

    async def git(self, *args: str) -> None:
        """Let the user of the project run ``git``."""
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.invalid")
        process = await asyncio.create_subprocess_exec(
            "git", *identity, *args, cwd=self.folder / "project"
        )
        if await process.wait():
            raise AssertionError(f"git {args} failed")

    def disturb(self, frames: bytes) -> None:
        """Send bytes to the service that no bridge would send."""
        if self._connection is None:
            raise AssertionError("no service runs")
        self._write(frames)

    # --- the services ------------------------------------------------------------

    @asynccontextmanager
    async def services(self) -> AsyncIterator[None]:
        """Keep a service running within the block; end the last one in peace."""
        keeping = asyncio.create_task(self._keep_running())
        try:
            yield
        finally:
            self.restarting = False
            if self._connection is not None:
                self._close()
            try:
                async with asyncio.timeout(END_LIMIT_S):
                    await keeping
            except TimeoutError:
                await self.kill()

    async def _keep_running(self) -> None:
        while self.restarting:
            if len(self.exits) >= self._most_lives:
                self._problem = f"the service died {len(self.exits)} times: {self.exits}"
                self.changes.tell()
                return
            await self._live()

    async def _live(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs, (self.folder / "stderr").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "lab.faults.service"),
                *(str(self.plan), str(theirs.fileno())),
                pass_fds=(theirs.fileno(),),
                env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self.pids.append(process.pid)
        reader, writer = await asyncio.open_connection(sock=ours)

        def write(frame: bytes) -> None:
            if not writer.transport.is_closing():  # what is sent to the dead is lost
                writer.write(frame)

        connection = Connection(write, calls=serve(self.runtime, self.channel), translate=translate)
        self._write, self._close = write, writer.close

        def pass_on(event: RuntimeEvent) -> None:
            connection.notify("happened", happened(event, self.runtime))

        unsubscribe = self.runtime.subscribe(pass_on)
        about = {"instance": 1, "directory": str(self.folder / "project"), "base_url": ""}
        connection.notify("attach", about)
        self._connection = connection
        self.changes.tell()
        try:
            await pump(reader, connection.feed)
        finally:
            self._connection = None
            unsubscribe()
            await connection.close("The service died.")
            writer.close()
            self.exits.append(await process.wait())
            self.changes.tell()

    async def _call(self, method: str, params: object, answer: type[T]) -> T:
        await self.until(lambda: self._connection is not None)
        if self._connection is None:
            raise AssertionError("it was there")
        async with asyncio.timeout(LIMIT_S):
            return await self._connection.call(method, params, answer)

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("BACKGROUND_AGENTS_")}
        places = {
            "HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            # Nobody sits here who could grant what is asked for.
            "BACKGROUND_AGENTS_MODEL_GRANTS": "once",
        }
        return {**kept, **places, **self._env}
