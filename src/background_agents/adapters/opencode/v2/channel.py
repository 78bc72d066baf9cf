"""A supervisor's OpenCode 2 session as a ``SupervisorChannel``.

A notice is a synthetic input: the model reads it, and the human sees its description. OpenCode
stores it before it answers, which is the receipt, and delivers it exactly once by its id.
"""

from __future__ import annotations

from background_agents.adapters.opencode.memory import remember
from background_agents.adapters.opencode.v2.runtime import OpenCode2Runtime
from background_agents.domain.errors import NotFound, SupervisorGone
from background_agents.ports import runtime as port
from background_agents.ports.supervisor import OutgoingMessage

NEWEST = 20
"""How many messages of a supervisor are looked at for what its user did last."""


class OpenCode2Channel:
    """Reaches the supervisors of one project, as ``SupervisorChannel`` says."""

    def __init__(self, runtime: OpenCode2Runtime) -> None:
        self._runtime = runtime
        self._stopped_by_user: dict[str, bool] = {}
        """Whether a session's user has interrupted it, and said nothing since; where known."""
        self._has_turns: dict[str, bool] = {}
        """Sessions in which a model has answered, and so can be woken."""
        runtime.subscribe(self._hear)
        runtime.reader.on_speech = self._spoke

    async def deliver(self, message: OutgoingMessage) -> None:
        session = message.session
        try:
            wakes = message.wakes and await self._may_wake(session)
            await self.make_sure_nothing_is_undone(session)
            body: dict[str, object] = {
                "id": message.message,
                "text": "\n\n".join(text for _, text in message.parts),
                "description": message.description or None,
                "delivery": "steer",
                "resume": wakes,
            }
            await self._runtime.api.synthetic(session, body)
        except NotFound as error:
            raise SupervisorGone(session) from error

    async def make_sure_nothing_is_undone(self, session: str) -> None:
        await self._runtime.make_sure_nothing_is_undone(session)

    async def toast(self, title: str, message: str, variant: str) -> None:
        """See ``SupervisorChannel``: the line in the chat is all that a server can show."""

    async def _may_wake(self, session: str) -> bool:
        """Return whether a message may begin a turn.

        An interrupt by the user holds until the user speaks again. And where no model has ever
        answered, as in the session of a delegation from the command line, none waits.
        """
        if session not in self._has_turns or session not in self._stopped_by_user:
            await self._look(session)
        return session in self._has_turns and not self._stopped_by_user[session]

    async def _look(self, session: str) -> None:
        newest_first = await self._runtime.api.newest_messages(session, NEWEST)
        answers = (one for one in newest_first if one.type in ("user", "assistant"))
        newest = next(answers, None)
        stopped = newest is not None and newest.error is not None and newest.error.aborted
        if session not in self._stopped_by_user:
            # Else an event has told, which is newer.
            remember(self._stopped_by_user, session, stopped)
        if any(one.type == "assistant" for one in newest_first):
            remember(self._has_turns, session, True)

    def _hear(self, event: port.RuntimeEvent) -> None:
        if isinstance(event, port.MessageChanged) and event.message.role == "assistant":
            remember(self._has_turns, event.session, True)
        elif isinstance(event, port.RunFailed) and event.aborted:
            # Background sessions that were stopped, too: they are many, their users never speak.
            remember(self._stopped_by_user, event.session, True)
        elif isinstance(event, port.SessionDeleted):
            self._stopped_by_user.pop(event.session, None)
            self._has_turns.pop(event.session, None)
        elif isinstance(event, port.StreamRestored):
            self._stopped_by_user.clear()

    def _spoke(self, session: str) -> None:
        remember(self._stopped_by_user, session, False)
