"""OpenCode's API as typed calls over a transport.

Turns every answer that is not a success into ``RuntimeRefused`` with OpenCode's words,
and decides nothing else.
"""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import quote

import msgspec

from background_agents.adapters.opencode import wire
from background_agents.adapters.opencode.transport import Transport, read_answer
from background_agents.domain.errors import RuntimeRefused
from background_agents.domain.text import one_line

T = TypeVar("T")


class NotFound(RuntimeRefused):
    """OpenCode has no such session or message."""


class Api:
    """The calls that the adapter makes.

    Each raises ``RuntimeRefused`` or ``RuntimeUnreachable``.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def agents(self) -> list[wire.AgentInfo]:
        return await self._get("/agent", list[wire.AgentInfo])

    async def config(self) -> wire.Config:
        return await self._get("/config", wire.Config)

    async def tool_ids(self) -> list[str]:
        """Return the tools but for those of MCP servers: OpenCode's own, custom ones, plugins'."""
        return await self._get("/experimental/tool/ids", list[str])

    async def mcp_servers(self) -> list[str]:
        """Return the MCP servers that are configured, connected or not."""
        return list(await self._get("/mcp", dict[str, msgspec.Raw]))

    async def session(self, session: str) -> wire.SessionInfo:
        return await self._get(f"/session/{quote(session)}", wire.SessionInfo)

    async def statuses(self) -> dict[str, wire.Status]:
        return await self._get("/session/status", dict[str, wire.Status])

    async def messages(self, session: str, limit: int | None = None) -> list[wire.StoredMessage]:
        query = "" if limit is None else f"?limit={limit}"
        path = f"/session/{quote(session)}/message{query}"
        return await self._get(path, list[wire.StoredMessage])

    async def message(self, session: str, message: str) -> wire.StoredMessage:
        path = f"/session/{quote(session)}/message/{quote(message)}"
        return await self._get(path, wire.StoredMessage)

    async def create_session(self, body: dict[str, object]) -> wire.SessionInfo:
        return read_answer(await self._ask("POST", "/session", body), "/session", wire.SessionInfo)

    async def add_permissions(self, session: str, rules: list[wire.PermissionRule]) -> None:
        """Put rules after those that a session has; none can be taken away."""
        await self._ask("PATCH", f"/session/{quote(session)}", {"permission": rules})

    async def delete_session(self, session: str) -> None:
        await self._ask("DELETE", f"/session/{quote(session)}")

    async def prompt(self, session: str, body: dict[str, object]) -> None:
        """Hand a message over; return as soon as it is accepted."""
        await self._ask("POST", f"/session/{quote(session)}/prompt_async", body)

    async def prompt_and_wait(self, session: str, body: dict[str, object]) -> wire.StoredMessage:
        """Hand a message over and return the answer."""
        path = f"/session/{quote(session)}/message"
        return read_answer(await self._ask("POST", path, body), path, wire.StoredMessage)

    async def abort(self, session: str) -> None:
        await self._ask("POST", f"/session/{quote(session)}/abort")

    async def children(self, session: str) -> list[wire.SessionInfo]:
        return await self._get(f"/session/{quote(session)}/children", list[wire.SessionInfo])

    async def permissions(self) -> list[wire.Permission]:
        return await self._get("/permission", list[wire.Permission])

    async def questions(self) -> list[wire.Questions]:
        return await self._get("/question", list[wire.Questions])

    async def reply_permission(self, request: str, reply: str, message: str) -> None:
        body = {"reply": reply} | ({"message": message} if message else {})
        await self._ask("POST", f"/permission/{quote(request)}/reply", body)

    async def reply_questions(self, request: str, answers: list[list[str]]) -> None:
        await self._ask("POST", f"/question/{quote(request)}/reply", {"answers": answers})

    async def reject_questions(self, request: str) -> None:
        await self._ask("POST", f"/question/{quote(request)}/reject")

    async def toast(self, title: str, message: str, variant: str) -> None:
        body = {"title": title, "message": message, "variant": variant}
        await self._ask("POST", "/tui/show-toast", body)

    async def _get(self, path: str, kind: type[T]) -> T:
        return read_answer(await self._ask("GET", path), path, kind)

    async def _ask(self, method: str, path: str, body: object = None) -> bytes:
        response = await self._transport.request(method, path, body)
        if response.status < 300:
            return response.body
        words = one_line(response.body.decode(errors="replace"), 300)
        kind = NotFound if response.status == 404 else RuntimeRefused
        raise kind(f"OpenCode refused {method} {path} ({response.status}): {words}")
