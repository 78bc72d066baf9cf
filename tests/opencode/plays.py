"""Plays: what a supervisor and its background agents do in a test, and how it went.

A supervisor's prompt scripts its model, and the prompts that it delegates script the
children's. Everything is read from OpenCode's own events and messages and from the files
on disk; nothing of the service is asked or known.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

import msgspec

from background_agents.adapters.files.artifacts import Scalar, parse
from background_agents.hosts.opencode.tools import TOOLS
from background_agents.testing.scripts import READABLE_ID
from lab.harness.client import Events, OpenCodeClient, Seen, StoredMessage
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


class _Part(msgspec.Struct):
    id: str
    type: str
    session: str = msgspec.field(name="sessionID")
    message: str = msgspec.field(name="messageID")
    text: str = ""
    synthetic: bool = False
    tool: str = ""
    state: dict[str, object] = {}


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

        def collect(part: _Part) -> bool:
            if part.type == "tool" and part.tool == tool and part.state["status"] == "completed":
                found[part.id] = str(part.state["output"])
            return len(found) >= count

        await self._wait_for_part(collect)
        return [found[key] for key in sorted(found)]

    async def delegated(self, count: int = 1) -> list[str]:
        """Wait until ``count`` calls of ``delegate`` were answered and return the ids."""
        answers = await self.outputs("delegate", count)
        return [_only(READABLE_ID.findall(answer)) for answer in answers]

    async def notices(
        self, count: int = 1, *, tag: str = ENDED, timeout_s: float = 20
    ) -> list[Notice]:
        """Wait for ``count`` notices and return all there are, in the order of the transcript."""
        found: dict[str, Notice] = {}

        def collect(part: _Part) -> bool:
            if (notice := _notice(part)) and notice.tag == tag:
                found[part.id] = notice
            return len(found) >= count

        await self._wait_for_part(collect, timeout_s=timeout_s)
        return [found[key] for key in sorted(found, key=lambda key: (found[key].message, key))]

    async def answered(self, message: str) -> None:
        """Wait until the model has taken up a message and has ended its turn."""

        def ends_turn(seen: Seen) -> bool:
            info = seen.properties.get("info")
            if seen.type != "message.updated" or not isinstance(info, dict):
                return False
            mine = info.get("sessionID") == self.id and info.get("parentID", "") >= message
            return mine and info.get("finish") == "stop"

        end = await self.stage.events.wait_for(ends_turn)
        await self.stage.events.wait_idle(self.id, since=self.stage.events.seen.index(end))

    async def settled(self, count: int = 1, *, timeout_s: float = 20) -> list[Notice]:
        """Wait until ``count`` notices came and were answered; return all that are stored."""
        newest = (await self.notices(count, timeout_s=timeout_s))[-1]
        await self.answered(newest.message)
        return await self.stored_notices()

    async def stored_notices(self, tag: str = ENDED) -> list[Notice]:
        """Return the notices that OpenCode has stored, oldest first."""
        raw = await self.stage.client.request("GET", f"/session/{self.id}/message")
        parts = [part for one in msgspec.json.decode(raw, type=list[_Stored]) for part in one.parts]
        return [notice for part in parts if (notice := _notice(part)) and notice.tag == tag]

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

    async def _wait_for_part(
        self, wanted: Callable[[_Part], bool], *, timeout_s: float = 20
    ) -> None:
        def seen_it(seen: Seen) -> bool:
            if seen.type != "message.part.updated" or seen.session != self.id:
                return False
            return wanted(msgspec.convert(seen.properties["part"], _Part))

        await self.stage.events.wait_for(seen_it, timeout_s=timeout_s)


class _Stored(msgspec.Struct):
    parts: list[_Part]


@dataclass
class Stage:
    """An OpenCode with our plugin, its model, and the events of one project."""

    model: ModelServer
    opencode: OpenCode
    client: OpenCodeClient
    events: Events

    async def supervisor(self) -> Supervisor:
        return Supervisor(await self.client.create_session(), self)

    async def child(self, delegation: str) -> str:
        """Wait for a delegation's session and return its id."""
        return str((await self.child_info(delegation))["id"])

    async def child_info(self, delegation: str) -> Mapping[str, object]:
        """Wait for a delegation's session and return what OpenCode says of it."""

        def titled(seen: Seen) -> bool:
            info = seen.properties.get("info")
            named = isinstance(info, dict) and str(info.get("title")).endswith(f"· {delegation}")
            return seen.type == "session.created" and named

        info = (await self.events.wait_for(titled)).properties["info"]
        assert isinstance(info, dict)
        return info

    async def toast(self, delegation: str) -> str:
        """Wait for the toast about a delegation's end and return what it says."""
        toast = await self.events.wait_for(
            lambda seen: seen.type == "tui.toast.show" and delegation in str(seen.properties)
        )
        return str(toast.properties)

    async def answer_permission(self, session: str, reply: str) -> None:
        """Answer what a session asks for as the human does in OpenCode's own dialogue."""
        asked = await self.events.wait_for(
            lambda seen: seen.type == "permission.asked" and seen.session == session
        )
        request = asked.properties["id"]
        await self.client.request("POST", f"/permission/{request}/reply", {"reply": reply})

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
    *,
    config: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Stage]:
    """Set a stage under ``root``."""
    async with (
        ModelServer() as model,
        running_opencode(root, model.base_url, config=config, env=env) as opencode,
        opencode.client() as client,
        client.events() as events,
    ):
        yield Stage(model, opencode, client, events)


def _notice(part: _Part) -> Notice | None:
    """Return the notice in a part; one that is not well-formed XML is an error."""
    if part.type != "text" or not part.text.startswith(tuple(f"<{tag}>" for tag in TAGS)):
        return None
    root = ElementTree.fromstring(part.text)
    elements = list(root)
    fields = {element.tag: element.text or "" for element in elements}
    assert len(fields) == len(elements), f"a tag stands twice in {part.text}"
    return Notice(part.message, root.tag, part.text, fields, part.synthetic)


def _only(found: Sequence[T]) -> T:
    assert len(found) == 1, f"one was expected, not {found}"
    return found[0]
