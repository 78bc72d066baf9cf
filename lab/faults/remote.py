"""A runtime and a channel that live in the driver: they outlast the process that uses them.

As OpenCode does when the service is killed. ``serve`` is the driver's end, ``RemoteRuntime``
and ``RemoteChannel`` are the ports at the other end of the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from background_agents.domain.asking import Ask, Reply
from background_agents.domain.errors import (
    DelegationError,
    MessagesUndone,
    NotAsked,
    RuntimeRefused,
    RuntimeUnreachable,
    SupervisorGone,
)
from background_agents.domain.transcript import Message, Transcript
from background_agents.ports.runtime import (
    Agent,
    Leave,
    Listener,
    Prompt,
    RunState,
    RuntimeEvent,
    SessionDeleted,
    SessionOrder,
)
from background_agents.ports.supervisor import OutgoingMessage
from background_agents.rpc.connection import Answerer, Connection
from background_agents.rpc.messages import RpcError
from background_agents.testing.runtime import ScriptedChannel, ScriptedRuntime

T = TypeVar("T")

ERRORS: Mapping[int, type[DelegationError]] = {
    -32011: RuntimeRefused,
    -32012: RuntimeUnreachable,
    -32013: NotAsked,
    -32014: SupervisorGone,
    -32015: MessagesUndone,
}
"""The errors that the ports may raise, as they travel: with the one thing that each is made of."""

KINDS = {kind.__name__: kind for kind in RuntimeEvent.__subclasses__()}


class Happened(msgspec.Struct):
    """An event on its way, and the answer that its session is writing just then."""

    kind: str
    event: msgspec.Raw
    writing: Message | None


class _Ordered(msgspec.Struct):
    session: str
    prompt: Prompt


class _Reopened(msgspec.Struct):
    session: str
    order: SessionOrder


class _Wish(msgspec.Struct):
    session: str
    by: str
    agent: str
    native: bool = True


class _Answered(msgspec.Struct):
    ask: Ask
    reply: Reply


class _Toast(msgspec.Struct):
    title: str
    message: str
    variant: str


class _Look(msgspec.Struct):
    session: str
    refresh: bool


def happened(event: RuntimeEvent, runtime: ScriptedRuntime) -> Happened:
    """Pack an event for the other process."""
    body = msgspec.Raw(msgspec.json.encode(event))
    return Happened(type(event).__name__, body, runtime.being_written(event.session))


def translate(error: Exception) -> RpcError | None:
    """Let the ports' own errors travel."""
    number = next((code for code, kind in ERRORS.items() if type(error) is kind), None)
    if number is None:
        return None
    match error:
        case NotAsked(request=made_of):
            return RpcError(number, made_of)
        case SupervisorGone(session=made_of) | MessagesUndone(session=made_of):
            return RpcError(number, made_of)
        case _:
            return RpcError(number, str(error))


def serve(runtime: ScriptedRuntime, channel: ScriptedChannel) -> Mapping[str, Answerer]:
    """Return what the driver answers for the runtime and the channel."""

    async def agents(raw: msgspec.Raw) -> object:
        return await runtime.agents(refresh=_read(raw, bool))

    async def lineage(raw: msgspec.Raw) -> object:
        return await runtime.lineage(_read(raw, str))

    async def below(raw: msgspec.Raw) -> object:
        return await runtime.below(_read(raw, str))

    async def open_session(raw: msgspec.Raw) -> object:
        return await runtime.open_session(_read(raw, SessionOrder))

    async def reopen_session(raw: msgspec.Raw) -> None:
        meant = _read(raw, _Reopened)
        await runtime.reopen_session(meant.session, meant.order)

    async def leave(raw: msgspec.Raw) -> object:
        wish = _read(raw, _Wish)
        return await runtime.leave(wish.session, wish.by, wish.agent, native=wish.native)

    async def prompt(raw: msgspec.Raw) -> None:
        order = _read(raw, _Ordered)
        await runtime.prompt(order.session, order.prompt)

    async def requests(_raw: msgspec.Raw) -> object:
        return await runtime.requests()

    async def answer(raw: msgspec.Raw) -> None:
        given = _read(raw, _Answered)
        await runtime.answer(given.ask, given.reply)

    async def abort(raw: msgspec.Raw) -> None:
        await runtime.abort(_read(raw, str))

    async def state(raw: msgspec.Raw) -> object:
        return await runtime.state(_read(raw, str))

    async def transcript(raw: msgspec.Raw) -> object:
        look = _read(raw, _Look)
        return await runtime.transcript(look.session, refresh=look.refresh)

    async def delegated_in(raw: msgspec.Raw) -> object:
        return await runtime.delegated_in(_read(raw, str))

    async def describe(_raw: msgspec.Raw) -> object:
        return list(await runtime.describe("", "", "") or ())

    async def deliver(raw: msgspec.Raw) -> None:
        await channel.deliver(_read(raw, OutgoingMessage))

    async def make_sure_nothing_is_undone(raw: msgspec.Raw) -> None:
        await channel.make_sure_nothing_is_undone(_read(raw, str))

    async def toast(raw: msgspec.Raw) -> None:
        told = _read(raw, _Toast)
        await channel.toast(told.title, told.message, told.variant)

    served: Mapping[str, Answerer] = {
        "agents": agents,
        "lineage": lineage,
        "below": below,
        "open_session": open_session,
        "reopen_session": reopen_session,
        "leave": leave,
        "prompt": prompt,
        "requests": requests,
        "answer": answer,
        "abort": abort,
        "state": state,
        "transcript": transcript,
        "delegated_in": delegated_in,
        "describe": describe,
        "deliver": deliver,
        "make_sure_nothing_is_undone": make_sure_nothing_is_undone,
        "toast": toast,
    }
    return {f"world.{name}": answerer for name, answerer in served.items()}


class RemoteRuntime:
    """``AgentRuntime`` at the other end of a connection."""

    ends_with_turn = False
    name = "scripted"
    shows_what_children_ask = True
    native_tool = "task"

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._listeners: list[Listener] = []
        self._chains: dict[str, tuple[str, ...]] = {}
        self._writing: dict[str, Message] = {}

    async def infos(self) -> Sequence[object]:
        """Tell nothing of the agents' prompts, which hooks alone would want."""
        return ()

    def hear(self, raw: msgspec.Raw) -> None:
        """Pass on an event."""
        told = _read(raw, Happened)
        event = msgspec.json.decode(told.event, type=KINDS[told.kind])
        if told.writing is not None:
            self._writing[event.session] = told.writing
        else:
            self._writing.pop(event.session, None)
        for listener in tuple(self._listeners):
            listener(event)
        if isinstance(event, SessionDeleted):
            self._chains.pop(event.session, None)
            self._writing.pop(event.session, None)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """See ``AgentRuntime``."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def agents(self, *, refresh: bool = False) -> Sequence[Agent]:
        """See ``AgentRuntime``."""
        return await call(self.connection, "agents", refresh, list[Agent])

    async def lineage(self, session: str) -> tuple[str, ...]:
        """See ``AgentRuntime``."""
        chain = await call(self.connection, "lineage", session, tuple[str, ...])
        self._chains[session] = chain
        return chain

    def ancestors(self, session: str) -> tuple[str, ...]:
        """See ``AgentRuntime``."""
        return self._chains.get(session, (session,))

    async def below(self, session: str) -> Sequence[str]:
        """See ``AgentRuntime``."""
        return await call(self.connection, "below", session, list[str])

    async def open_session(self, order: SessionOrder) -> str:
        """See ``AgentRuntime``."""
        session = await call(self.connection, "open_session", order, str)
        above = () if order.parent is None else self.ancestors(order.parent)
        self._chains[session] = (session, *above)
        return session

    async def reopen_session(self, session: str, order: SessionOrder) -> None:
        """See ``AgentRuntime``."""
        await call(self.connection, "reopen_session", _Reopened(session, order), object)

    async def leave(self, session: str, by: str, agent: str, *, native: bool = True) -> Leave:
        """See ``AgentRuntime``."""
        return await call(self.connection, "leave", _Wish(session, by, agent, native), Leave)

    def works_in(self, session: str, directory: str) -> None:
        """See ``AgentRuntime``; nothing here works elsewhere."""

    async def close_directory(self, directory: str) -> None:
        """See ``AgentRuntime``."""

    async def prompt(self, session: str, prompt: Prompt) -> None:
        """See ``AgentRuntime``."""
        await call(self.connection, "prompt", _Ordered(session, prompt), object)

    async def requests(self) -> Sequence[Ask]:
        """See ``AgentRuntime``."""
        return await call(self.connection, "requests", None, list[Ask])

    async def answer(self, ask: Ask, reply: Reply) -> None:
        """See ``AgentRuntime``."""
        await call(self.connection, "answer", _Answered(ask, reply), object)

    async def abort(self, session: str) -> None:
        """See ``AgentRuntime``."""
        await call(self.connection, "abort", session, object)

    async def state(self, session: str) -> RunState:
        """See ``AgentRuntime``."""
        return await call(self.connection, "state", session, RunState)

    async def transcript(self, session: str, *, refresh: bool = False) -> Transcript:
        """See ``AgentRuntime``."""
        return await call(self.connection, "transcript", _Look(session, refresh), Transcript)

    async def delegated_in(self, session: str) -> frozenset[str]:
        """See ``AgentRuntime``."""
        return await call(self.connection, "delegated_in", session, frozenset[str])

    def being_written(self, session: str) -> Message | None:
        """See ``AgentRuntime``."""
        return self._writing.get(session)

    def release(self, session: str) -> None:
        """See ``AgentRuntime``."""
        self._writing.pop(session, None)

    def guard(self, session: str, *, on: bool) -> None:
        """See ``AgentRuntime``. No host asks here."""

    async def describe(self, prompt: str, result: str, parent: str) -> tuple[str, str] | None:
        """See ``AgentRuntime``."""
        described = await call(self.connection, "describe", None, list[str])
        return (described[0], described[1]) if described else None


class RemoteChannel:
    """``SupervisorChannel`` at the other end of a runtime's connection."""

    def __init__(self, runtime: RemoteRuntime) -> None:
        self._connection = runtime.connection

    async def deliver(self, message: OutgoingMessage) -> None:
        """See ``SupervisorChannel``."""
        await call(self._connection, "deliver", message, object)

    async def make_sure_nothing_is_undone(self, session: str) -> None:
        """See ``SupervisorChannel``."""
        await call(self._connection, "make_sure_nothing_is_undone", session, object)

    async def toast(self, title: str, message: str, variant: str) -> None:
        """See ``SupervisorChannel``."""
        await call(self._connection, "toast", _Toast(title, message, variant), object)


async def call(connection: Connection, method: str, params: object, answer: type[T]) -> T:
    """Ask the driver. Raises the port's own error, by its number on the wire."""
    try:
        return await connection.call(f"world.{method}", params, answer)
    except RpcError as error:
        raise ERRORS.get(error.code, RuntimeUnreachable)(error.message) from error


def _read(raw: msgspec.Raw, kind: type[T]) -> T:
    return msgspec.json.decode(raw, type=kind)
