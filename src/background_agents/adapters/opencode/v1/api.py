"""OpenCode's API as typed calls over a transport.

Turns every answer that is not a success into ``RuntimeRefused`` with OpenCode's words,
and decides nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote

import msgspec

from background_agents.adapters.opencode.calls import Calls
from background_agents.adapters.opencode.transport import Transport, read_answer
from background_agents.adapters.opencode.v1 import wire
from background_agents.adapters.opencode.wire import AgentInfo, Config, PermissionRule
from background_agents.domain.asking import Ask

T = TypeVar("T")


class Api(Calls):
    """The calls that the adapter makes.

    Each raises ``RuntimeRefused`` or ``RuntimeUnreachable``. ``learn`` hears of each session that
    was asked for. ``directory_of`` returns the directory of a session, if it is known: each has
    its own list of what works and what is asked there, and in OpenCode 1.15 a prompt or an abort
    that names another one does not reach the session.
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

    async def agents(self) -> list[AgentInfo]:
        return await self._get("/agent", list[AgentInfo])

    async def config(self) -> Config:
        return await self._get("/config", Config)

    async def tool_ids(self) -> list[str]:
        """Return the tools but for those of MCP servers: OpenCode's own, custom ones, plugins'."""
        return await self._get("/experimental/tool/ids", list[str])

    async def mcp_servers(self) -> list[str]:
        """Return the MCP servers that are configured, connected or not."""
        return list(await self._get("/mcp", dict[str, msgspec.Raw]))

    async def session(self, session: str) -> wire.SessionInfo:
        info = await self._get(f"/session/{quote(session)}", wire.SessionInfo, session)
        self._learn(info)
        return info

    async def statuses(self, session: str) -> dict[str, wire.Status]:
        """Return what the sessions do that work in the directory of ``session``."""
        return await self._get("/session/status", dict[str, wire.Status], session)

    async def statuses_in(self, directory: str) -> dict[str, wire.Status]:
        """Return what the sessions do that work in a directory."""
        raw = await self._ask("GET", "/session/status", directory=directory)
        return read_answer(raw, "/session/status", dict[str, wire.Status])

    async def messages(self, session: str, limit: int | None = None) -> list[wire.StoredMessage]:
        query = "" if limit is None else f"?limit={limit}"
        path = f"/session/{quote(session)}/message{query}"
        return await self._get(path, list[wire.StoredMessage], session)

    async def message(self, session: str, message: str) -> wire.StoredMessage:
        path = f"/session/{quote(session)}/message/{quote(message)}"
        return await self._get(path, wire.StoredMessage, session)

    async def create_session(
        self, body: dict[str, object], directory: str = ""
    ) -> wire.SessionInfo:
        """Create a session that works in a directory, or in our own."""
        raw = await self._ask("POST", "/session", body, directory=directory)
        info = read_answer(raw, "/session", wire.SessionInfo)
        self._learn(info)
        return info

    async def add_permissions(self, session: str, rules: list[PermissionRule]) -> None:
        """Put rules after those that a session has; none can be taken away."""
        await self._ask("PATCH", f"/session/{quote(session)}", {"permission": rules}, session)

    async def delete_session(self, session: str) -> None:
        await self._ask("DELETE", f"/session/{quote(session)}", session=session)

    async def prompt(self, session: str, body: dict[str, object]) -> None:
        """Hand a message over; return as soon as it is accepted."""
        await self._ask("POST", f"/session/{quote(session)}/prompt_async", body, session)

    async def prompt_and_wait(self, session: str, body: dict[str, object]) -> wire.StoredMessage:
        """Hand a message over and return the answer."""
        path = f"/session/{quote(session)}/message"
        raw = await self._ask("POST", path, body, session)
        return read_answer(raw, path, wire.StoredMessage)

    async def abort(self, session: str) -> None:
        await self._ask("POST", f"/session/{quote(session)}/abort", session=session)

    async def children(self, session: str) -> list[wire.SessionInfo]:
        path = f"/session/{quote(session)}/children"
        found = await self._get(path, list[wire.SessionInfo], session)
        for info in found:
            self._learn(info)
        return found

    async def permissions(self, session: str | None = None) -> list[wire.Permission]:
        """Return what is asked in the directory of ``session``, or in our own."""
        return await self._get("/permission", list[wire.Permission], session)

    async def questions(self, session: str | None = None) -> list[wire.Questions]:
        """Return what is wondered in the directory of ``session``, or in our own."""
        return await self._get("/question", list[wire.Questions], session)

    async def reply_permission(self, ask: Ask, reply: str, message: str) -> None:
        body = {"reply": reply} | ({"message": message} if message else {})
        await self._ask("POST", f"/permission/{quote(ask.id)}/reply", body, ask.session)

    async def reply_questions(self, ask: Ask, answers: list[list[str]]) -> None:
        body = {"answers": answers}
        await self._ask("POST", f"/question/{quote(ask.id)}/reply", body, ask.session)

    async def reject_questions(self, ask: Ask) -> None:
        await self._ask("POST", f"/question/{quote(ask.id)}/reject", session=ask.session)

    async def dispose(self, directory: str) -> None:
        """Let go of a directory; it is opened again by the next request that names it."""
        await self._ask("POST", "/instance/dispose", directory=directory)

    async def toast(self, title: str, message: str, variant: str) -> None:
        body = {"title": title, "message": message, "variant": variant}
        await self._ask("POST", "/tui/show-toast", body)

    async def _get(self, path: str, kind: type[T], session: str | None = None) -> T:
        return read_answer(await self._ask("GET", path, session=session), path, kind)
