"""One run of the demo: a home, OpenCode, the request, what follows, and the proof.

Ends what it started however it ends; what cannot be shown is one sentence, raised as
``DelegationError``.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import msgspec

from background_agents.domain.errors import DelegationError
from lab.demo import ending, homes, proof, story
from lab.demo.model import StoryModel
from lab.demo.screen import Screen
from lab.demo.timeline import Timeline
from lab.harness.client import ApiError, Events, OpenCodeClient
from lab.harness.dialect import dialect
from lab.harness.home import Binary, Home
from lab.harness.line import Line
from lab.harness.opencode import OpenCode

FRAME_S = 0.08
"""About twelve frames a second: smooth enough, and idle in between."""

FAILURES = (DelegationError, ApiError, aiohttp.ClientError, msgspec.MsgspecError, OSError)
"""What becomes one sentence; the last but one is an event in a form that is not known."""


class NotShown(DelegationError):
    """Something that the demo shows did not happen."""


@dataclass(frozen=True)
class Order:
    """What to show, and how long to wait for it."""

    line: Line
    """Of the OpenCode to run; the user's own one is of its line."""
    model: str | None
    """``provider/model-id`` of a real model; None for the scripted one."""
    limit_s: float
    kept: Path
    """Where the artifacts stay."""

    @property
    def request(self) -> str:
        """The user's request, in as many words as the model needs."""
        if self.model is None:
            return story.REQUEST
        return story.plain_request(f"{self.model.partition('/')[0]}/no-such-model")


async def show(order: Order, screen: Screen) -> bool:
    """Run the demo; return whether everything that it promises was seen.

    Raises:
        NotShown: Something did not happen, or not in time.
        OpenCodeMissing: There is no OpenCode.
        OpenCodeFailed: OpenCode did not start.
        InvalidRequest: The user's configuration does not allow for the plugin.
    """
    with _folder() as root:
        async with _opencode(order, root, screen) as opencode:
            try:
                return await _with_opencode(order, screen, opencode)
            except FAILURES as error:
                log = _keep_log(opencode, order.kept)
                said = str(error).rstrip(".") or "OpenCode did not answer in time"
                raise NotShown(f"{said} (OpenCode's log: {log}).") from error


@contextmanager
def _folder() -> Iterator[Path]:
    # A thread that still writes there when Ctrl-C comes must not spoil the end.
    with TemporaryDirectory(prefix="background-agents-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()  # OpenCode names folders by their real path.


@asynccontextmanager
async def _opencode(order: Order, root: Path, screen: Screen) -> AsyncIterator[OpenCode]:
    async with AsyncExitStack() as stack:
        binary, home = await _home(order, root, stack)
        ending.introduce(screen, binary, order.model)
        # A password, since the port is open to everybody on this machine.
        opencode = OpenCode(binary, home, password=secrets.token_urlsafe())
        stack.push_async_callback(opencode.end)
        with screen.waiting(f"OpenCode {binary.version} starts ..."):
            await opencode.start()
        yield opencode


async def _home(order: Order, root: Path, stack: AsyncExitStack) -> tuple[Binary, Home]:
    if order.model is not None:
        return await asyncio.to_thread(homes.user_home, root, order.model)
    model = await stack.enter_async_context(StoryModel(dialect(order.line)))
    return await asyncio.to_thread(homes.scripted_home, root, model.base_url, order.line)


async def _with_opencode(order: Order, screen: Screen, opencode: OpenCode) -> bool:
    async with opencode.client() as client:
        with screen.waiting("OpenCode loads the plugin ..."):
            if not await client.has_plugin():
                raise NotShown("OpenCode has not loaded the plugin")
            await _require_model(client, order.model)
            # The first look at a project takes a moment, which is not the story's.
            await client.load()
            session = await client.create_session("background-agents demo")
        async with client.events() as events:
            timeline = Timeline(session, time.monotonic())
            await client.prompt(session, order.request, model=order.model)
            await _watch(order, screen, timeline, events)
        transcript = [*await client.messages(session), *await client.pending(session)]
    artifacts = proof.keep_artifacts(opencode.home.data, session, order.kept)
    found = proof.checks(timeline, len(story.TASKS), transcript, artifacts)
    ending.conclude(screen, timeline, found, artifacts)
    return all(check.holds for check in found)


async def _require_model(client: OpenCodeClient, model: str | None) -> None:
    """Raise when the user's OpenCode does not know the model, or has no key for it."""
    if model is not None and model not in await client.models():
        raise NotShown(
            f"Your OpenCode has no model {model}: `opencode models` lists those it has keys for, "
            "and `opencode auth login` adds a key"
        )


async def _watch(order: Order, screen: Screen, timeline: Timeline, events: Events) -> None:
    """Show what happens until nothing more is to come."""
    with screen.following(timeline):
        drawing = asyncio.create_task(_draw(screen), name="demo screen")
        try:
            async with asyncio.timeout(order.limit_s):
                await _follow(screen, timeline, events)
        except TimeoutError:
            late = f"After {order.limit_s:g} s {timeline.awaited()}"
            raise NotShown(late) from None
        finally:
            drawing.cancel()
            await asyncio.gather(drawing, return_exceptions=True)


async def _follow(screen: Screen, timeline: Timeline, events: Events) -> None:
    position = 0
    while not timeline.settled:
        await events.wait_for(lambda _seen: True, since=position, timeout_s=3600)
        fresh, position = events.seen[position:], len(events.seen)
        for seen in fresh:
            for entry in timeline.take(seen):
                screen.show(entry, timeline)
        if timeline.error:
            raise NotShown(f"The supervisor's model did not answer: {timeline.error}")
    if not timeline.agents:
        raise NotShown("The supervisor's model ended its turn without a delegation")


async def _draw(screen: Screen) -> None:
    while True:
        screen.refresh()
        await asyncio.sleep(FRAME_S)


def _keep_log(opencode: OpenCode, kept: Path) -> Path:
    kept.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(opencode.log, kept / "opencode.log"))
