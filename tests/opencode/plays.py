"""Plays: what a supervisor and its background agents do in a test, and how it went.

A supervisor's prompt scripts its model, and the prompts that it delegates script the
children's. Everything is read from OpenCode's own events and messages and from the files
on disk; nothing of the service is asked or known.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

from background_agents.adapters.files.artifacts import Scalar, parse
from background_agents.config import DATABASE
from background_agents.hosts.opencode.tools import TOOLS
from background_agents.testing.scripts import READABLE_ID
from lab.harness.client import Events, OpenCodeClient, StoredMessage
from lab.harness.client.base import LOOK_AGAIN_S
from lab.harness.client.events import (
    EVENT_TIMEOUT_S,
    Answered,
    Asked,
    Named,
    Shown,
    TextStored,
    ToolEnded,
)
from lab.harness.dialect import Dialect, dialect
from lab.harness.line import Line
from lab.harness.opencode import OpenCode, running_opencode
from lab.model_server import ModelRequest, ModelServer, script

T = TypeVar("T")

Step = dict[str, object]

OUR_TOOLS = frozenset(TOOLS)

ENDED, REQUEST, MESSAGE = "task-notification", "delegation-request", "child-notification"
TAGS = (ENDED, REQUEST, MESSAGE)
"""What notices there are, by their tag."""


def say(text: str, **more: object) -> Step:
    """Let the model say something; ``gate``, ``repeat`` and the like as the server has them."""
    return {"say": text, **more}


def call(tool: str, **args: object) -> Step:
    """Let the model call a tool."""
    return {"call": tool, "args": args}


def together(*calls: Step) -> Step:
    """Let the model make several calls in one answer."""
    return {"calls": list(calls)}


def delegate(task: str, *steps: Step, agent: str = "general", **args: object) -> Step:
    """Let the supervisor delegate ``task`` to a child that plays ``steps``."""
    return call("delegate", prompt=f"{task}\n{script(*steps)}", agent=agent, **args)


@dataclass(frozen=True)
class Notice:
    """A notice as it stands in the supervisor's transcript."""

    message: str
    tag: str
    text: str
    fields: Mapping[str, str]
    is_hidden: bool

    @property
    def id(self) -> str:
        return self.fields["task-id"]


@dataclass
class Supervisor:
    """A session whose model delegates."""

    id: str
    stage: Stage

    async def start(
        self,
        *steps: Step,
        on_notice: Sequence[Step] = (),
        text: str = "",
        agent: str | None = None,
        model: str | None = None,
    ) -> int:
        """Send the user's next message and return the event position before it."""
        mark = self.stage.events.mark()
        prompt = f"{self.id} {text}\n{script(*steps, on_notice=list(on_notice))}"
        await self.stage.client.prompt(self.id, prompt, agent=agent, model=model)
        return mark

    async def turn(
        self,
        *steps: Step,
        on_notice: Sequence[Step] = (),
        text: str = "",
        agent: str | None = None,
        model: str | None = None,
    ) -> None:
        """Send the user's next message and wait until the session is idle."""
        mark = await self.start(*steps, on_notice=on_notice, text=text, agent=agent, model=model)
        await self.stage.events.wait_idle(self.id, since=mark)

    async def outputs(self, tool: str, count: int = 1) -> list[str]:
        """Wait for ``count`` answers of a tool and return all there are, oldest call first."""
        found: dict[str, str] = {}
        name = self.stage.dialect.tool(tool)

        def collect(one: ToolEnded) -> bool:
            if one.session == self.id and one.tool == name and not one.failed:
                found[one.part] = one.output
            return len(found) >= count

        await self.stage.events.fact(ToolEnded, collect)
        return [found[key] for key in sorted(found)]

    async def delegated(self, count: int = 1) -> list[str]:
        """Wait until ``count`` calls of ``delegate`` were answered and return the ids."""
        answers = await self.outputs("delegate", count)
        return [_only(READABLE_ID.findall(answer)) for answer in answers]

    async def notices(
        self, count: int = 1, *, tag: str = ENDED, timeout_s: float = EVENT_TIMEOUT_S
    ) -> list[Notice]:
        """Wait for ``count`` notices and return all there are, in the order of the transcript."""
        found: dict[str, list[Notice]] = {}

        def collect(one: TextStored) -> bool:
            if one.session == self.id:
                notices = notices_in(one.message, one.text, one.hidden)
                found[one.part] = [notice for notice in notices if notice.tag == tag]
            return sum(map(len, found.values())) >= count

        await self.stage.events.fact(TextStored, collect, timeout_s=timeout_s)
        told = [notice for part in sorted(found) for notice in found[part]]
        return sorted(told, key=lambda notice: notice.message)

    async def answered(self, message: str) -> None:
        """Wait until the model has taken up a message and has ended its turn."""
        events = self.stage.events
        end = await events.fact(Answered, lambda one: message in one.messages)
        at = next(n for n, seen in enumerate(events.seen) if end in seen.facts)
        await events.wait_idle(self.id, since=at)

    async def settled(self, count: int = 1, *, timeout_s: float = EVENT_TIMEOUT_S) -> list[Notice]:
        """Wait until ``count`` notices came and were answered; return all that are stored."""
        newest = (await self.notices(count, timeout_s=timeout_s))[-1]
        await self.answered(newest.message)
        return await self.stored_notices()

    async def stored_notices(self, tag: str = ENDED) -> list[Notice]:
        """Return the notices that OpenCode has stored, oldest first."""
        messages = [*await self.messages(), *await self.stage.client.pending(self.id)]
        found = [
            notice
            for one in messages
            for part in one.parts
            for notice in notices_in(one.info.id, part.text, part.synthetic)
        ]
        return [notice for notice in found if notice.tag == tag]

    @property
    def requests(self) -> list[ModelRequest]:
        """What this session has asked its model so far."""
        return self.stage.asked(self.id)

    async def messages(self) -> list[StoredMessage]:
        return await self.stage.client.messages(self.id)

    async def turns(self) -> int:
        """Return how many user messages, notices included, a model run has answered."""
        answers = [m.info.parent for m in await self.messages() if m.info.role == "assistant"]
        return len(set(answers))

    async def children(self) -> list[str]:
        """Return the sessions that this one has made, by ``delegate`` or OpenCode's own tool.

        OpenCode 1 knows all of them; on OpenCode 2 only our records know ours.
        """
        known = await self.stage.client.children(self.id)
        if self.stage.line is Line.ONE:
            return known
        return [*known, *await asyncio.to_thread(self._recorded_children)]

    def _recorded_children(self) -> list[str]:
        query = "SELECT session FROM delegations WHERE parent_session = ? AND session IS NOT NULL"
        found: list[str] = []
        for database in (self.stage.opencode.home.data / "delegations").glob(f"*/{DATABASE}"):
            with closing(sqlite3.connect(database)) as connection:
                found += [one for (one,) in connection.execute(query, (self.id,))]
        return list(dict.fromkeys(found))


@dataclass
class Stage:
    """An OpenCode with our plugin, its model, and the events of one project."""

    model: ModelServer
    opencode: OpenCode
    client: OpenCodeClient
    events: Events

    async def supervisor(self) -> Supervisor:
        return Supervisor(await self.client.create_session(), self)

    @property
    def line(self) -> Line:
        return self.opencode.line

    @property
    def dialect(self) -> Dialect:
        return dialect(self.line)

    @property
    def shell(self) -> str:
        """What OpenCode calls the tool, and the permission, that scripts call ``bash``."""
        return self.dialect.tool("bash")

    async def child(self, delegation: str) -> str:
        """Wait for a delegation's session and return its id."""
        named = await self.events.fact(Named, lambda one: one.title.endswith(f"· {delegation}"))
        return named.session

    async def ended(self, delegation: str) -> None:
        """Return once a delegation's artifact is there; it looks, since nobody tells of it."""
        folder = self.opencode.home.data / "delegations"
        async with asyncio.timeout(EVENT_TIMEOUT_S):
            while True:
                if list(folder.rglob(f"{delegation}.md")):
                    return
                await asyncio.sleep(LOOK_AGAIN_S)

    async def shown(self, delegation: str) -> str:
        """Wait for what the human is shown about a delegation, beside the chat, and return it."""
        return (await self.events.fact(Shown, lambda one: delegation in one.text)).text

    async def answer_permission(self, session: str, reply: str) -> None:
        """Answer what a session asks for as the human does in OpenCode's own dialogue."""
        asked = await self.events.fact(Asked, lambda one: one.session == session)
        await self.client.answer(session, asked.request, reply)

    def artifact(self, delegation: str) -> Path:
        """Return the only file of a delegation, wherever the service keeps it."""
        folder = self.opencode.home.data / "delegations"
        return _only(list(folder.rglob(f"{delegation}.md")))

    def result(self, delegation: str) -> tuple[dict[str, Scalar], str]:
        """Return the front matter and the body of a delegation's artifact."""
        return parse(self.text(delegation))

    def text(self, delegation: str) -> str:
        """Return a delegation's artifact as it is, line ends included."""
        return self.artifact(delegation).read_bytes().decode()

    def asked(self, beginning: str) -> list[ModelRequest]:
        """Return the requests of the sessions whose first prompt begins so, oldest first."""
        asked = [request for request in self.model.requests if request.tools]
        return [request for request in asked if _first_prompt(request).startswith(beginning)]


def _first_prompt(request: ModelRequest) -> str:
    return next((one.text for one in request.messages if one.role == "user"), "")


@asynccontextmanager
async def staged(
    root: Path,
    line: Line,
    *,
    config: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Stage]:
    """Set a stage under ``root``."""
    async with (
        ModelServer(dialect=dialect(line)) as model,
        running_opencode(root, model.base_url, line, config=config, env=env) as opencode,
        opencode.client() as client,
        client.events() as events,
    ):
        yield Stage(model, opencode, client, events)


def notices_in(message: str, text: str, hidden: bool) -> list[Notice]:
    """Return the notices that a text consists of; one that is not well-formed XML is an error.

    OpenCode 1 has a part of a message for each, OpenCode 2 one text for all of a message's.
    """
    if not text.startswith(tuple(f"<{tag}>" for tag in TAGS)):
        return []
    return [_notice(message, one.group(), hidden) for one in _ONE_NOTICE.finditer(text)]


_ONE_NOTICE = re.compile(rf"<({'|'.join(TAGS)})>.*?</\1>", re.DOTALL)


def _notice(message: str, text: str, hidden: bool) -> Notice:
    root = ElementTree.fromstring(text)
    elements = list(root)
    fields = {element.tag: element.text or "" for element in elements}
    assert len(fields) == len(elements), f"a tag stands twice in {text}"
    return Notice(message, root.tag, text, fields, hidden)


def _only(found: Sequence[T]) -> T:
    assert len(found) == 1, f"one was expected, not {found}"
    return found[0]
