"""OpenCode 2 as an ``AgentRuntime``: sessions run agents, events say how it goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from background_agents.adapters.opencode.agents import NOTHING_UNKNOWN, OWN, agents_of, leave_of
from background_agents.adapters.opencode.describing import (
    DESCRIBE_LIMIT_S,
    described,
    request,
)
from background_agents.adapters.opencode.memory import remember
from background_agents.adapters.opencode.runtime import SharedRuntime
from background_agents.adapters.opencode.tools import UnknownTools
from background_agents.adapters.opencode.transport import Transport
from background_agents.adapters.opencode.v2 import wire
from background_agents.adapters.opencode.v2.api import Api
from background_agents.adapters.opencode.v2.events import EventReader, permission
from background_agents.adapters.opencode.v2.fold import SessionFold
from background_agents.adapters.opencode.v2.forms import values_of
from background_agents.adapters.opencode.wire import AgentInfo, Config, PermissionRule
from background_agents.domain.asking import Ask, Reply
from background_agents.domain.errors import (
    Conflict,
    DelegationError,
    NotAsked,
    NotFound,
    RuntimeUnreachable,
)
from background_agents.domain.transcript import Message, Transcript
from background_agents.ports import runtime as port

log = logging.getLogger(__name__)

CHANGES_THINGS = ("edit", "shell")
"""The permissions with which OpenCode's own tools change files or run commands."""

GOVERNING = ("subagent", "delegate")
"""The permissions that decide whether an agent may be delegated to."""

POLITE_PAUSE_S = 0.025
"""As on line 1: the tool call that asked for a session is still on its way through OpenCode,
which has one thread."""

NAMING_PAUSE_S = 0.2
"""OpenCode names a session when its first turn ends, which is when a notice is on its way: giving
it our title takes OpenCode 10 ms, for which the notice would wait."""

LOADING_LIMIT_S = 20.0
"""OpenCode knows no agents of a project that it loads: 0.2 s were seen, from its first request."""

TITLES = "title"
"""The agent that writes titles, and whose model is the small one."""


class OpenCode2Runtime(SharedRuntime[wire.SessionInfo]):
    """One project of one OpenCode, over either transport, as ``AgentRuntime`` says."""

    def __init__(self, transport: Transport, safe_tools: Sequence[str] | None = None) -> None:
        """``safe_tools`` are wildcards; with None it is not looked what other tools there are."""
        super().__init__(transport)
        self._safe_tools = safe_tools
        self.ends_with_turn = transport.ends_with_turn
        self.name = "opencode-2"
        self.shows_what_children_ask = False
        self.native_tool = "subagent"
        self.reader: EventReader = EventReader(self._emit)
        self.api: Api = Api(transport, learn=self.reader.learn, directory_of=self._directory_of)
        self._agents: list[port.Agent] = []
        self._infos: list[AgentInfo] = []
        self._offered: tuple[str, ...] = ()
        self._asking = asyncio.Lock()
        self._told_of_agents = asyncio.Event()
        self._place = ""
        self._titles: dict[str, str] = {}
        """Those of sessions that OpenCode has not named itself yet, as it does once."""
        self._renaming: set[asyncio.Task[None]] = set()
        self.reader.on_agents = self._agents_changed
        self.reader.on_renamed = self._renamed
        transport.on_event = self.reader.read
        transport.on_restored = self._restored

    # --- agents and their rules -------------------------------------------------------

    async def agents(self, *, refresh: bool = False) -> Sequence[port.Agent]:
        if refresh or not self._agents:
            infos, model, unknown = await asyncio.gather(
                self.infos(refresh=refresh), self.api.default_model(), self._unknown_tools()
            )
            config = Config(model.name if model else None)
            self._agents = agents_of(infos, config, unknown, CHANGES_THINGS)
        return self._agents

    async def infos(self, *, refresh: bool = False) -> Sequence[AgentInfo]:
        """Return all that OpenCode tells of its agents; ``refresh`` is as of ``agents``."""
        async with self._asking:
            if refresh or not self._infos:
                self._infos = [agent.info for agent in await self._loaded_agents()]
        return self._infos

    async def _loaded_agents(self) -> list[wire.Agent]:
        try:
            async with asyncio.timeout(LOADING_LIMIT_S):
                while True:
                    self._told_of_agents.clear()
                    if agents := await self.api.agents():
                        return agents
                    await self._told_of_agents.wait()
        except TimeoutError as error:
            raise RuntimeUnreachable("OpenCode has told of no agents.") from error

    def tools_offered(self, names: Sequence[str]) -> None:
        """Take the names of tools that a model gets; nothing else tells of those of plugins."""
        if new := [name for name in names if name not in self._offered]:
            self._offered, self._agents = (*self._offered, *new), []

    async def _unknown_tools(self) -> UnknownTools:
        if self._safe_tools is None:
            return NOTHING_UNKNOWN
        servers = await self.api.mcp_servers()
        return UnknownTools.among(self._offered, servers, self._safe_tools)

    async def leave(self, session: str, by: str, agent: str, *, native: bool = True) -> port.Leave:
        await asyncio.gather(self._now(session), self.agents())
        governing = GOVERNING if native else OWN
        return leave_of(self._infos, NO_RULES, by, agent, governing)

    # --- whose session is whose -------------------------------------------------------

    async def below(self, session: str) -> Sequence[str]:
        found: dict[str, None] = {}
        to_look_at = [session]
        while to_look_at:
            above = to_look_at.pop()
            ours = [one for one, parent in self.reader.adopted.items() if parent == above]
            children = [*ours, *(child.id for child in await self.api.children(above))]
            to_look_at += [one for one in children if one not in found]
            found |= dict.fromkeys(children)
        return list(found)

    # --- sessions ---------------------------------------------------------------------

    async def open_session(self, order: port.SessionOrder) -> str:
        await asyncio.sleep(POLITE_PAUSE_S)
        body: dict[str, object] = {
            "location": {"directory": order.directory or await self._here()},
            **({"agent": order.agent} if order.agent else {}),
            # Which released versions know; then OpenCode itself shows whose child it is.
            "title": order.title,
            **({"parentID": order.parent} if order.parent else {}),
        }
        info = await self.api.create_session(body)
        self._adopt(info.id, order)
        if order.directory:
            self.works_in(info.id, order.directory)
        if info.title != order.title:
            if info.parent_id is None:
                remember(self._titles, info.id, order.title)
            await self.api.rename(info.id, order.title)
        return info.id

    async def _here(self) -> str:
        """Return where our sessions work. Asked for once, however many begin at the same time."""
        async with self._asking:
            if not self._place:
                self._place = (await self.api.location()).directory
        return self._place

    async def reopen_session(self, session: str, order: port.SessionOrder) -> None:
        """See ``AgentRuntime``: sessions have no rules here; the host hides tools from them."""
        await self._now(session)
        self._adopt(session, order)

    async def _open(self, directory: str) -> None:
        await self.api.agents_in(directory)

    async def close_directory(self, directory: str) -> None:
        """See ``AgentRuntime``: OpenCode 2 lets go of directories by itself."""

    def _adopt(self, session: str, order: port.SessionOrder) -> None:
        if order.parent is not None:
            remember(self.reader.adopted, session, order.parent)

    def _renamed(self, session: str, title: str) -> None:
        ours = self._titles.get(session, title)
        if ours != title:
            # OpenCode has named it after its first message, which it does once.
            del self._titles[session]
            task = asyncio.get_running_loop().create_task(self._rename(session, ours))
            self._renaming.add(task)
            task.add_done_callback(self._renaming.discard)

    async def _rename(self, session: str, title: str) -> None:
        await asyncio.sleep(NAMING_PAUSE_S)
        try:
            await self.api.rename(session, title)
        except DelegationError as error:
            log.warning("the session %s keeps a title that is not ours: %s", session, error)

    # --- runs -------------------------------------------------------------------------

    async def prompt(self, session: str, prompt: port.Prompt) -> None:
        self._follow(session)
        await self._choose(session, prompt)
        await self.make_sure_nothing_is_undone(session)
        await self._make_sure_it_is_heard(session)
        body: dict[str, object] = {"id": prompt.message, "text": prompt.text, "delivery": "steer"}
        await self.api.prompt(session, body)

    async def _choose(self, session: str, prompt: port.Prompt) -> None:
        """Set the session to the agent and the model of a prompt, which have no other place."""
        info = await self._now(session)
        if info.agent != prompt.agent:
            await self.api.select_agent(session, prompt.agent)
            self.reader.changed(session, agent=prompt.agent)
        model = await self._model_for(prompt)
        if model is None and info.model is not None:
            # One that was meant for an earlier prompt alone.
            model = await self.api.default_model()
        if model is not None and (not info.model or info.model.name != model.name):
            await self.api.select_model(session, model)
            self.reader.changed(session, model=model)

    async def _model_for(self, prompt: port.Prompt) -> wire.ModelRef | None:
        """Return a prompt's model; OpenCode gives an agent its own only where it makes sessions."""
        if prompt.model is not None:
            return wire.model_ref(prompt.model)
        infos = await self.infos()
        own = next((info.model for info in infos if info.name == prompt.agent), None)
        return wire.ModelRef(own.model_id, own.provider_id, own.variant) if own else None

    async def abort(self, session: str) -> None:
        with suppress(NotFound):
            await self.api.interrupt(session)

    async def state(self, session: str) -> port.RunState:
        try:
            info = await self.api.session(session)
        except NotFound:
            return port.RunState(exists=False, busy=False)
        busy = session in await self.api.active()
        return port.RunState(exists=True, busy=busy, undone=info.revert is not None)

    # --- what is asked ----------------------------------------------------------------

    async def _requests(self, session: str | None) -> list[Ask]:
        asked, forms = await asyncio.gather(self.api.permissions(session), self.api.forms(session))
        return [*map(permission, asked), *map(self.reader.shown, forms)]

    async def answer(self, ask: Ask, reply: Reply) -> None:
        try:
            if not ask.questions:
                await self._decide(ask, reply)
            elif reply.is_rejection:
                await self.api.cancel_form(ask)
            else:
                await self._fill_in(ask, reply)
        except (NotFound, Conflict) as error:
            raise NotAsked(ask.id) from error

    async def _decide(self, ask: Ask, reply: Reply) -> None:
        if reply.reason:
            # A tool tells its model that it was refused, and not why.
            await self.api.permission(ask)
            text = f"{ask.text} was refused: {reply.reason}"
            body: dict[str, object] = {"id": _note_id(ask), "text": text, "resume": False}
            await self.api.synthetic(ask.session, body)
        await self.api.reply_permission(ask, reply.word, reply.reason)

    async def _fill_in(self, ask: Ask, reply: Reply) -> None:
        if ask.id not in self.reader.forms:
            await self._requests(ask.session)
        if (form := self.reader.forms.get(ask.id)) is None:
            raise NotAsked(ask.id)
        await self.api.reply_form(ask, values_of(form, reply.answers))

    # --- transcripts ------------------------------------------------------------------

    async def transcript(self, session: str, *, refresh: bool = False) -> Transcript:
        fold = self.reader.live.get(session)
        if fold is None or refresh:
            fold = self._follow(session)
            await fold.catch_up(partial(self.api.log, session))
        return fold.messages.transcript()

    async def delegated_in(self, session: str) -> frozenset[str]:
        """See ``AgentRuntime``; the log of a fork lacks what was copied, so messages are read."""
        found = [
            part.state.answered_id
            async for message in self.api.messages(session)
            for part in message.content
            if part.type == "tool" and part.name == "delegate"
        ]
        return frozenset(found) - {""}

    def being_written(self, session: str) -> Message | None:
        fold = self.reader.live.get(session)
        return None if fold is None else fold.messages.being_written()

    def release(self, session: str) -> None:
        if self.reader.release(session):
            self._transport.release(session)

    def _follow(self, session: str) -> SessionFold:
        if session not in self.reader.live:
            self._transport.follow(session)
        return self.reader.follow(session)

    async def describe(self, prompt: str, result: str, parent: str) -> tuple[str, str] | None:
        """See ``AgentRuntime``: the small model is the one that writes OpenCode's titles."""
        infos = await self.infos()
        model = next((info.model for info in infos if info.name == TITLES), None)
        if model is None:
            return None
        small = wire.ModelRef(model.model_id, model.provider_id)
        async with asyncio.timeout(DESCRIBE_LIMIT_S):
            return described(await self.api.generate(small, request(prompt, result)))

    # --- the stream -------------------------------------------------------------------

    def _agents_changed(self) -> None:
        self._agents, self._infos = [], []
        self._told_of_agents.set()

    def _restored(self) -> None:
        self._agents_changed()  # the break may have been a restart that changed them
        self.reader.lost()
        self._emit(port.StreamRestored(""))


def _note_id(ask: Ask) -> str:
    """Return the id of the message that goes with the answer to a permission."""
    return "msg_" + ask.id.removeprefix("per_")


NO_RULES: Sequence[PermissionRule] = ()
"""A session's own rules; on line 2 it has none."""
