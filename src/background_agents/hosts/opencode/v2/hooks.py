"""OpenCode 2's hooks: one before each step of a session, which is told what the model is offered.

Titles and summaries pass no hook there. In the preview nothing can be said to whoever writes the
summary either, so that what a compaction must keep is told right after it.
"""

from __future__ import annotations

from background_agents.adapters.opencode.v2.runtime import OpenCode2Runtime
from background_agents.hosts.opencode.hooks import HookCall, Hooks, Told
from background_agents.service.guidance import Guidance


class OpenCode2Hooks(Hooks):
    """The hooks of one project of an OpenCode 2."""

    def __init__(self, runtime: OpenCode2Runtime) -> None:
        super().__init__()
        self._native_tool = runtime.native_tool
        self._offered = runtime.tools_offered
        self._carried: dict[str, tuple[str, str | None]] = {}
        """By session: the newest compaction, and what was to be kept over it."""

    async def _run(self, call: HookCall, guidance: Guidance) -> str | Told | None:
        if call.hook == "context":
            return await self._step(call, guidance)
        return await super()._run(call, guidance)

    async def _step(self, call: HookCall, guidance: Guidance) -> Told:
        self._offered(call.tools)
        is_background = await guidance.is_background(call.session)
        needed = {"delegate"} if is_background else {"delegate", self._native_tool}
        has_tools = needed <= set(call.tools)
        self._remember(call.session, has_tools=has_tools)
        said = (
            await guidance.rules(call.session, has_tools=has_tools),
            await self._kept(call, guidance),
        )
        system = "\n\n".join(one for one in said if one)
        # A session has no rules of its own in which its tools could be denied.
        return Told(system, await guidance.hidden_tools(call.session))

    async def _kept(self, call: HookCall, guidance: Guidance) -> str | None:
        """Return what was carried over the newest compaction, the same at each step after it."""
        if not call.checkpoint:
            return None
        known = self._carried.get(call.session)
        if known is None or known[0] != call.checkpoint:
            carried = await guidance.carried_over(call.session)
            known = self._carried[call.session] = (call.checkpoint, carried)
        return known[1]
