"""A person at a terminal beside a running OpenCode: commands as processes, in its home."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.harness.home import Home

LIMIT_S = 60.0
"""What takes a tenth of a second, or a few seconds where an OpenCode is started."""


@dataclass(frozen=True)
class Ran:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> object:
        """What stdout says, as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class TerminalUser:
    """Runs ``background-agents`` in a home's project."""

    home: Home
    env: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Return what the commands see."""
        return self.home.environment({"NO_COLOR": "1", "COLUMNS": "100", **self.env})

    async def start(self, *args: str) -> asyncio.subprocess.Process:
        """Start a command and return the process."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "background_agents", *args),
            cwd=self.home.project,
            env=self.environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *args: str, given: str = "") -> Ran:
        """Run a command to its end."""
        return await ended(await self.start(*args), given)


async def ended(process: asyncio.subprocess.Process, given: str = "") -> Ran:
    """Return what a command printed, once it has ended; one that does not is killed."""
    try:
        async with asyncio.timeout(LIMIT_S):
            out, err = await process.communicate(given.encode())
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return Ran(process.returncode or 0, out.decode(), err.decode())
