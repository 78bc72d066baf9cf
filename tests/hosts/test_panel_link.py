"""The panel's link to a service, in the Bun that OpenCode is made of."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import background_agents
from background_agents.control import places, protocol
from background_agents.rpc.messages import METHOD_NOT_FOUND
from lab.harness.home import find_binary
from lab.harness.panel import EMPTY, scripted_service

pytestmark = pytest.mark.opencode

LINK = Path(background_agents.__file__).parent / "hosts" / "opencode" / "panel" / "link.js"

LIMIT_S = 30

SCRIPT = """
import {{ Link, socketsFolder }} from {link}
import {{ createInterface }} from "node:readline"

const say = (what) => console.log(JSON.stringify(what))
const where = {{ directory: () => "/project", pid: 7, most: () => 5 }}
const link = new Link(where, {{
  folder: socketsFolder({{ XDG_DATA_HOME: {data} }}),
  show: (shown) => {{
    say({{ shown, at: Date.now() }})
    if (shown.head === "throw") throw new Error("on purpose")
  }},
  news: (news) => say({{ news }}),
  log: (log) => say({{ log }}),
}})
say({{ ready: true }})
for await (const line of createInterface({{ input: process.stdin }})) {{
  const {{ watch, call, act }} = JSON.parse(line)
  if (watch) link.watch(watch)
  if (act) link.act(...act).then((acted) => say({{ acted }}))
  const refused = (error) => say({{ refused: error.message }})
  if (call) link.call(...call).then((result) => say({{ result }}), refused)
}}
process.exit()
"""


class Panel:
    """A link in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def tell(self, **what: object) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(what).encode() + b"\n")

    async def says(self, kind: str) -> Mapping[str, object]:
        """Wait for the next thing of a kind that it says."""
        assert self._process.stdout
        while True:
            line = await self._process.stdout.readline()
            assert line, "the panel has ended"
            said: Mapping[str, object] = json.loads(line)
            if kind in said:
                return said

    async def shows(self, head: str) -> Mapping[str, object]:
        while True:
            said = await self.says("shown")
            if said["shown"]["head"] == head:  # type: ignore[index]
                return said


@asynccontextmanager
async def linked(tmp_path: Path, data: Path) -> AsyncIterator[Panel]:
    script = tmp_path / "script.mjs"
    script.write_text(
        SCRIPT.format(link=json.dumps(str(LINK)), data=json.dumps(str(data))), "utf-8"
    )
    process = await asyncio.create_subprocess_exec(
        *(find_binary().path, "run", script),
        env={**os.environ, "BUN_BE_BUN": "1", "TMPDIR": str(tmp_path)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            yield Panel(process)
    finally:
        process.kill()
        await process.wait()


def shown(head: str, **more: object) -> Mapping[str, object]:
    return {**EMPTY, "head": head, **more}


async def test_a_panel_finds_its_service_and_the_next_one(tmp_path: Path) -> None:
    """Among leftovers, strangers and noise; what it shows follows the service, once a second."""
    data = tmp_path / ("a path too long for a socket" * 4)
    root = data / "opencode" / "delegations"
    places.folder(root).mkdir(parents=True)
    with (
        places.short(places.folder(root) / "0-0.sock") as name,
        socket.socket(socket.AF_UNIX) as one,
    ):
        one.bind(name)  # nobody listens any more

    async def noise(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 \xff\xfe\r\n{]\n")
        writer.close()

    with places.short(places.folder(root) / "0-1.sock") as name:
        noisy = await asyncio.start_unix_server(noise, name)
    async with noisy, linked(tmp_path, data) as panel:
        async with (
            scripted_service(root, "1-1", refuses=protocol.NOT_HERE),
            scripted_service(root, "2-2", shown=shown("of another")) as other,
            scripted_service(root, "3-3", host_pid=7, shown=shown("mine")) as mine,
        ):
            await panel.shows("mine")
            assert other.asked == []
            panel.tell(watch="ses_1")
            asked = await mine.heard("watch", 2)
            assert asked == {"directory": "/project", "session": "ses_1", "columns": 36, "most": 5}
            panel.tell(call=["steer", {"text": "Hurry."}])
            assert (await panel.says("result"))["result"] == {}
            # What another service runs is for that one to act on.
            panel.tell(act=[{"owner": "2:2:0"}, "stop", {"id": "a"}])
            assert await other.heard("stop") == {"id": "a"}
            panel.tell(act=[{"owner": "9:9"}, "stop", {"id": "b"}])
            assert await mine.heard("stop") == {"id": "b"}
            news = {"key": "a", "title": "Delegation completed"}
            for count in range(50):
                mine.show(shown(f"mine, {count}", news=[news] if count == 0 else []))
            assert (await panel.says("news"))["news"] == news
            last = await panel.shows("mine, 49")
            mine.show(shown("throw"))
            assert "on purpose" in str((await panel.says("log"))["log"])
            mine.show(shown("later"))
            later = await panel.shows("later")
            assert later["at"] - last["at"] >= 1_900  # type: ignore[operator]
        killed = time.monotonic()
        async with scripted_service(root, "4-4", host_pid=7, shown=shown("the next")) as following:
            await panel.shows("the next")
            assert time.monotonic() - killed < 3
            assert following.asked[0][1]["session"] == "ses_1"
        panel.tell(call=["steer", {"text": "Hurry."}])
        assert "does not answer" in str((await panel.says("refused"))["refused"])
        gone = await panel.shows("")
        assert "does not answer" in gone["shown"]["note"]  # type: ignore[index]
        async with scripted_service(root, "5-5", host_pid=7, refuses=METHOD_NOT_FOUND):
            old = await panel.shows("")
            assert "restart OpenCode" in old["shown"]["note"]  # type: ignore[index]
