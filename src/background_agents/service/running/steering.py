"""Instructions to a running agent, and their receipts.

An instruction is *sent* when the runtime has accepted it, and *confirmed* only when the
agent's transcript shows an answer to it. Knows nothing of how a run ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import RuntimeRefused, RuntimeUnreachable
from background_agents.domain.transcript import Message
from background_agents.ports.runtime import Prompt
from background_agents.service.context import Context, Record
from background_agents.service.running.signals import SteerAsked


async def say(context: Context, delegation: Delegation, message: str, text: str) -> None:
    """Say something to a running agent; doing so again under the same id changes nothing."""
    agent, model = delegation.agent, delegation.model
    prompt = Prompt(message=message, text=text, agent=agent, model=model)
    await context.runtime.prompt(delegation.session or "", prompt)


class Steering:
    """Steers one run. ``record`` stores an event of it; ``renew`` opens a fresh time window."""

    def __init__(
        self,
        context: Context,
        record: Record,
        renew: Callable[[], None],
    ) -> None:
        self._context = context
        self._record = record
        self._renew = renew

    async def send(self, delegation: Delegation, asked: SteerAsked) -> None:
        """Put an instruction into the session, and tell whoever asked what came of it."""
        try:
            steered = await self.put(delegation, asked.text, asked.by)
        except (RuntimeRefused, RuntimeUnreachable) as error:
            asked.refuse(error)
            return
        self._renew()
        asked.accept(steered)

    async def put(self, delegation: Delegation, text: str, by: str) -> Delegation:
        """Put an instruction into the session, and store that; the time window stays as it is.

        Raises ``RuntimeRefused`` or ``RuntimeUnreachable`` where the runtime does not take it.
        """
        message = self._context.mint("msg")
        await say(self._context, delegation, message, text)
        now = self._context.clock.now()
        return await self._record(ev.SteerSent(at=now, steer=message, text=text, by=by))

    async def confirm(self, delegation: Delegation, messages: Sequence[Message]) -> None:
        """Store the receipt of each instruction that an answer has taken up."""
        answered = max((one.answers for one in messages if one.answers), default="")
        # Ids sort by time: who answers a later message has seen the earlier ones.
        taken = [steer.id for steer in delegation.open_steers if steer.id <= answered]
        if taken:
            await self._record(ev.SteerConfirmed(at=self._context.clock.now(), steer=taken[-1]))
