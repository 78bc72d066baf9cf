"""Line 2's API as typed calls over a transport.

Turns every answer that is not a success into ``RuntimeRefused`` with OpenCode's words,
and decides nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeVar
from urllib.parse import quote

import msgspec

from background_agents.adapters.opencode.calls import Calls
from background_agents.adapters.opencode.transport import Transport, read_answer
from background_agents.adapters.opencode.v2 import wire
from background_agents.domain.asking import Ask

T = TypeVar("T")

PAGE = 200
"""Messages or sessions in one answer; OpenCode gives no more."""


class _Data(msgspec.Struct):
    data: msgspec.Raw


class _Text(msgspec.Struct):
    text: str


class Api(Calls):
    """The calls that the adapter makes.

    Each raises ``RuntimeRefused`` or ``RuntimeUnreachable``. ``learn`` hears of each session that
    was asked for. ``directory_of`` returns the directory of a session, if it is known: each has
    its own list of what is asked there.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        learn: Callable[[wire.SessionInfo], None] = lambda _: None,
        directory_of: Callable[[str], str] = lambda _: "",
    ) -> None:
        super().__init__(transport, directory_of)
        self._learn = learn

    # --- of the project ---------------------------------------------------------------

    async def location(self) -> wire.Location:
        """Return where new sessions of ours work."""
        raw = await self._ask("GET", "/api/location")
        return read_answer(raw, "/api/location", wire.Location)

    async def agents(self) -> list[wire.Agent]:
        """Return the agents; none while OpenCode loads the project."""
        return await self._get("/api/agent", list[wire.Agent])

    async def agents_in(self, directory: str) -> list[wire.Agent]:
        """Return the agents of another directory; none while OpenCode loads it."""
        raw = await self._ask("GET", "/api/agent", directory=directory)
        return self._data(raw, "/api/agent", list[wire.Agent])

    async def default_model(self) -> wire.ModelRef | None:
        """Return the model of whoever has none of their own."""
        return await self._get("/api/model/default", wire.ModelRef | None)  # type: ignore[arg-type]

    async def mcp_servers(self) -> list[str]:
        """Return the MCP servers that are configured, connected or not."""
        return [one.name for one in await self._get("/api/mcp", list[wire.Named])]

    async def generate(self, model: wire.ModelRef, prompt: str) -> str:
        """Let a model answer, outside of any session."""
        body = {"prompt": prompt, "model": _chosen(model)}
        return self._data(await self._ask("POST", "/api/generate", body), "", _Text).text

    # --- sessions ---------------------------------------------------------------------

    async def session(self, session: str) -> wire.SessionInfo:
        info = await self._get(_of(session), wire.SessionInfo, session)
        self._learn(info)
        return info

    async def active(self) -> set[str]:
        """Return the sessions that work, of all projects."""
        return set(await self._get("/api/session/active", dict[str, msgspec.Raw]))

    async def create_session(self, body: dict[str, object]) -> wire.SessionInfo:
        raw = await self._ask("POST", "/api/session", body)
        info = self._data(raw, "/api/session", wire.SessionInfo)
        self._learn(info)
        return info

    async def children(self, session: str) -> list[wire.SessionInfo]:
        path = f"/api/session?parentID={quote(session)}&limit={PAGE}"
        found = await self._get(path, list[wire.SessionInfo], session)
        for info in found:
            self._learn(info)
        return found

    async def rename(self, session: str, title: str) -> None:
        await self._of("POST", session, "rename", {"title": title})

    async def select_agent(self, session: str, agent: str) -> None:
        await self._of("POST", session, "agent", {"agent": agent})

    async def select_model(self, session: str, model: wire.ModelRef) -> None:
        await self._of("POST", session, "model", {"model": _chosen(model)})

    async def prompt(self, session: str, body: dict[str, object]) -> None:
        """Hand a person's message over; return as soon as it is stored."""
        await self._of("POST", session, "prompt", body)

    async def synthetic(self, session: str, body: dict[str, object]) -> None:
        """Hand over a message that nobody wrote; return as soon as it is stored."""
        await self._of("POST", session, "synthetic", body)

    async def interrupt(self, session: str) -> None:
        await self._of("POST", session, "interrupt")

    async def log(self, session: str, after: int) -> list[wire.Event]:
        """Return what a session's log has after an entry; the last one tells how far it goes."""
        query = f"log?after={after}" if after else "log"
        path = f"/api/experimental/session/{quote(session)}/{query}"
        raw = await self._ask("GET", path, session=session)
        lines = (line[5:] for line in raw.split(b"\n") if line.startswith(b"data:"))
        return [read_answer(line, path, wire.Event) for line in lines]

    async def newest_messages(self, session: str, count: int) -> list[wire.StoredMessage]:
        """Return the newest messages, the newest of them first."""
        path = f"{_of(session)}/message?limit={count}"
        return await self._get(path, list[wire.StoredMessage], session)

    async def messages(self, session: str) -> AsyncIterator[wire.StoredMessage]:
        """Yield all messages, oldest first, those of what it is a fork of among them."""
        begin = path = f"{_of(session)}/message?limit={PAGE}"
        query = "&order=asc"
        while True:
            raw = await self._ask("GET", path + query, session=session)
            page = read_answer(raw, path, wire.Page)
            for message in page.data:
                yield message
            if len(page.data) < PAGE or page.cursor.next is None:
                return
            path, query = begin, f"&cursor={quote(page.cursor.next)}"

    # --- what is asked ----------------------------------------------------------------

    async def permissions(self, session: str | None = None) -> list[wire.Permission]:
        """Return what is asked in the directory of ``session``, or in our own."""
        return await self._get("/api/permission/request", list[wire.Permission], session)

    async def forms(self, session: str | None = None) -> list[wire.Form]:
        """Return the forms that are open in the directory of ``session``, or in our own."""
        return await self._get("/api/form/request", list[wire.Form], session)

    async def permission(self, ask: Ask) -> wire.Permission:
        """Return what is asked, if it still is."""
        path = f"{_of(ask.session)}/permission/{quote(ask.id)}"
        return await self._get(path, wire.Permission, ask.session)

    async def reply_permission(self, ask: Ask, reply: str, message: str) -> None:
        body = {"reply": reply} | ({"message": message} if message else {})
        await self._of("POST", ask.session, f"permission/{quote(ask.id)}/reply", body)

    async def reply_form(self, ask: Ask, values: dict[str, object]) -> None:
        await self._of("POST", ask.session, f"form/{quote(ask.id)}/reply", {"answer": values})

    async def cancel_form(self, ask: Ask) -> None:
        await self._of("POST", ask.session, f"form/{quote(ask.id)}/cancel")

    # --- the wire ---------------------------------------------------------------------

    async def _get(self, path: str, kind: type[T], session: str | None = None) -> T:
        return self._data(await self._ask("GET", path, session=session), path, kind)

    @staticmethod
    def _data(raw: bytes, path: str, kind: type[T]) -> T:
        return read_answer(bytes(read_answer(raw, path, _Data).data), path, kind)

    async def _of(self, method: str, session: str, what: str, body: object = None) -> None:
        await self._ask(method, f"{_of(session)}/{what}", body, session)


def _of(session: str) -> str:
    return f"/api/session/{quote(session)}"


def _chosen(model: wire.ModelRef) -> dict[str, str]:
    variant = {"variant": model.variant} if model.variant else {}
    return {"providerID": model.provider_id, "id": model.id, **variant}
