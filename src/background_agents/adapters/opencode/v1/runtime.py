"""OpenCode as an ``AgentRuntime``: sessions run agents, events say how it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from background_agents.adapters.opencode.agents import (
    GOVERNING,
    NOTHING_UNKNOWN,
    OWN,
    agents_of,
    leave_of,
)
from background_agents.adapters.opencode.describing import (
    DESCRIBE_LIMIT_S,
    described,
    request,
)
from background_agents.adapters.opencode.live import LiveSession
from background_agents.adapters.opencode.permissions import DENY, EXTERNAL, handed_on
from background_agents.adapters.opencode.runtime import SharedRuntime
from background_agents.adapters.opencode.tools import UnknownTools
from background_agents.adapters.opencode.transport import Transport
from background_agents.adapters.opencode.v1 import wire
from background_agents.adapters.opencode.v1.api import Api
from background_agents.adapters.opencode.v1.events import EventReader, permission, questions
from background_agents.adapters.opencode.wire import AgentInfo, PermissionRule
from background_agents.domain.asking import Ask, Reply
from background_agents.domain.errors import NotAsked, NotFound
from background_agents.domain.events import FIRST_RUNTIME
from background_agents.domain.transcript import Message, Transcript
from background_agents.ports import runtime as port

POLITE_PAUSE_S = 0.025
"""OpenCode has one thread, and creating a session keeps it for ~10 ms: a ``delegate`` call
that had to wait for that took 15 ms in the median, against 3 ms for a tool that does nothing.
Of several calls in one answer the last is through after ~20 ms."""


class OpenCodeRuntime(SharedRuntime[wire.SessionInfo]):
    """One project of one OpenCode, over either transport, as ``AgentRuntime`` says."""

    def __init__(self, transport: Transport, safe_tools: Sequence[str] | None = None) -> None:
        """``safe_tools`` are wildcards; with None it is not looked what other tools there are."""
        super().__init__(transport)
        self._safe_tools = safe_tools
        self.ends_with_turn = transport.ends_with_turn
        self.name = FIRST_RUNTIME
        self.shows_what_children_ask = True
        self.native_tool = "task"
        self.reader: EventReader = EventReader(self._emit)
        self.api: Api = Api(transport, learn=self.reader.learn, directory_of=self._directory_of)
        self._agents: list[port.Agent] = []
        self._infos: list[AgentInfo] = []
        self._asking = asyncio.Lock()
        transport.on_event = self.reader.read
        transport.on_restored = self._restored

    async def agents(self, *, refresh: bool = False) -> Sequence[port.Agent]:
        if refresh or not self._agents:
            infos, config, unknown = await asyncio.gather(
                self.infos(refresh=refresh), self.api.config(), self._unknown_tools()
            )
            self._agents = agents_of(infos, config, unknown)
        return self._agents

    async def infos(self, *, refresh: bool = False) -> Sequence[AgentInfo]:
        """Return all that OpenCode tells of its agents; ``refresh`` is as of ``agents``."""
        async with self._asking:
            if refresh or not self._infos:
                self._infos = await self.api.agents()
        return self._infos

    async def _unknown_tools(self) -> UnknownTools:
        if self._safe_tools is None:
            return NOTHING_UNKNOWN
        listed, servers = await asyncio.gather(self.api.tool_ids(), self.api.mcp_servers())
        return UnknownTools.among(listed, servers, self._safe_tools)

    async def leave(self, session: str, by: str, agent: str, *, native: bool = True) -> port.Leave:
        info, _ = await asyncio.gather(self._now(session), self.agents())
        governing = GOVERNING if native else OWN
        return leave_of(self._infos, info.permission or [], by, agent, governing)

    async def below(self, session: str) -> Sequence[str]:
        found: list[str] = []
        to_look_at = [session]
        while to_look_at:
            children = [child.id for child in await self.api.children(to_look_at.pop())]
            found += children
            to_look_at += children
        return found

    async def open_session(self, order: port.SessionOrder) -> str:
        # The tool call that asked for this is still on its way through OpenCode.
        await asyncio.sleep(POLITE_PAUSE_S)
        rules = [*await self._handed_on(order), *_own_rules(order)]
        body: dict[str, object] = {"title": order.title, "permission": rules}
        if order.parent is not None:
            body["parentID"] = order.parent
        session = (await self.api.create_session(body, order.directory)).id
        if order.directory:
            self.works_in(session, order.directory)
        return session

    async def reopen_session(self, session: str, order: port.SessionOrder) -> None:
        has = (await self.api.session(session)).permission or []
        own = _own_rules(order)
        missing = [rule for rule in await self._handed_on(order) if rule not in has]
        if missing or any(rule not in has for rule in own):
            await self.api.add_permissions(session, [*missing, *own])

    async def _open(self, directory: str) -> None:
        await self.api.statuses_in(directory)

    async def close_directory(self, directory: str) -> None:
        await self.api.dispose(directory)

    async def _handed_on(self, order: port.SessionOrder) -> list[PermissionRule]:
        if order.parent is None:
            return []
        return handed_on((await self._now(order.parent)).permission or [])

    async def prompt(self, session: str, prompt: port.Prompt) -> None:
        self._follow(session)
        body: dict[str, object] = {
            "messageID": prompt.message,
            "agent": prompt.agent,
            # The part's id too, else the same message sent again would grow a second part.
            "parts": [{"id": part_id(prompt.message), "type": "text", "text": prompt.text}],
        }
        if prompt.model is not None:
            body["model"] = model_body(prompt.model)
        await self.make_sure_nothing_is_undone(session)
        await self._make_sure_it_is_heard(session)
        await self.api.prompt(session, body)

    async def _requests(self, session: str | None) -> list[Ask]:
        asked, wondered = await asyncio.gather(
            self.api.permissions(session), self.api.questions(session)
        )
        return [*map(permission, asked), *map(questions, wondered)]

    async def answer(self, ask: Ask, reply: Reply) -> None:
        try:
            if not ask.questions:
                await self.api.reply_permission(ask, reply.word, reply.reason)
            elif reply.is_rejection:
                await self.api.reject_questions(ask)
            else:
                await self.api.reply_questions(ask, [[one] for one in reply.answers])
        except NotFound as error:
            raise NotAsked(ask.id) from error

    async def abort(self, session: str) -> None:
        await self.api.abort(session)

    async def state(self, session: str) -> port.RunState:
        try:
            info = await self.api.session(session)
        except NotFound:
            return port.RunState(exists=False, busy=False)
        statuses = await self.api.statuses(session)
        status = statuses.get(session)
        busy = status is not None and status.type != "idle"
        return port.RunState(exists=True, busy=busy, undone=info.revert is not None)

    async def transcript(self, session: str, *, refresh: bool = False) -> Transcript:
        live = self.reader.live.get(session)
        if live is None or refresh:
            live = self._follow(session)
            live.merge(await self.api.messages(session))
        return live.transcript()

    async def delegated_in(self, session: str) -> frozenset[str]:
        """See ``AgentRuntime``; OpenCode does not tell what a session is a fork of."""
        parts = [part for one in await self.api.messages(session) for part in one.parts]
        calls = [part.state for part in parts if part.type == "tool" and part.tool == "delegate"]
        return frozenset(state.answered_id for state in calls) - {""}

    def being_written(self, session: str) -> Message | None:
        live = self.reader.live.get(session)
        return None if live is None else live.being_written()

    def release(self, session: str) -> None:
        if self.reader.live.pop(session, None) is not None:
            self._transport.release(session)

    def _follow(self, session: str) -> LiveSession:
        """Return the session's transcript, which grows by what events tell from now on."""
        if session not in self.reader.live:
            self.reader.live[session] = LiveSession()
            self._transport.follow(session)
        return self.reader.live[session]

    async def describe(self, prompt: str, result: str, parent: str) -> tuple[str, str] | None:
        small = (await self.api.config()).small_model
        if small is None:
            return None
        info = await self.api.create_session({"parentID": parent, "title": "title and summary"})
        try:
            async with asyncio.timeout(DESCRIBE_LIMIT_S):
                body = _describe_body(small, prompt, result)
                answer = await self.api.prompt_and_wait(info.id, body)
        finally:
            await self.api.delete_session(info.id)
        return described("".join(part.text for part in answer.parts if part.type == "text"))

    def _restored(self) -> None:
        self._agents, self._infos = [], []  # the break may have been a reload that changed them
        self.reader.current.clear()  # and what was undone or redone meanwhile nobody told
        self._emit(port.StreamRestored(""))


def _own_rules(order: port.SessionOrder) -> list[PermissionRule]:
    actions = dict.fromkeys(order.denied_tools, "deny")
    actions |= dict.fromkeys(order.allowed_tools, "allow")
    rules = [PermissionRule(tool, "*", action) for tool, action in actions.items()]
    if order.off_limits:
        # Not "*": agents read what OpenCode itself has saved of long outputs, outside of all.
        places = (order.off_limits, f"{order.off_limits}/*")
        rules += [PermissionRule(EXTERNAL, place, DENY) for place in places]
    return rules


def part_id(message: str) -> str:
    """Return the id of the only part of a message that we minted."""
    return "prt_" + message.removeprefix("msg_")


def model_body(model: str) -> dict[str, str]:
    """Return ``provider/model-id`` as OpenCode's prompts name a model."""
    provider, _, name = model.partition("/")
    return {"providerID": provider, "modelID": name}


def _describe_body(small: str, prompt: str, result: str) -> dict[str, object]:
    return {
        "model": model_body(small),
        "agent": "title",
        "tools": {"*": False},
        "parts": [{"type": "text", "text": request(prompt, result)}],
    }
