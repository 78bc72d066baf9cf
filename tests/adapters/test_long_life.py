"""What is remembered of sessions is bounded, however many there were in the life of a service."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import msgspec
import pytest

from background_agents.adapters.opencode.memory import KNOWN_SESSIONS
from background_agents.adapters.opencode.transport import (
    Response,
    WireListener,
)
from background_agents.adapters.opencode.v1.channel import OpenCodeChannel
from background_agents.adapters.opencode.v1.runtime import OpenCodeRuntime
from background_agents.adapters.opencode.v2.channel import OpenCode2Channel
from background_agents.adapters.opencode.v2.runtime import OpenCode2Runtime
from background_agents.ports.runtime import Prompt

MOST_BYTES = 20_000
"""What chance and resized tables may add; one short string for each session would be 300,000."""


class Silent:
    """An OpenCode that takes everything and tells nothing by itself."""

    ends_with_turn = False

    def __init__(self) -> None:
        self.on_event: WireListener = lambda *_: None
        self.on_restored: Callable[[], None] = lambda: None

    async def request(
        self, method: str, path: str, body: object = None, directory: str = ""
    ) -> Response:
        return Response(200, b"true")

    def follow(self, session: str) -> None:
        """It tells nothing of any session."""

    def release(self, session: str) -> None:
        """It tells nothing of any session."""

    def tell(self, kind: str, **properties: object) -> None:
        self.on_event(kind, msgspec.Raw(msgspec.json.encode(properties)))


@pytest.fixture
def held() -> Iterator[Callable[[], int]]:
    """Return what says how many bytes are held."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()


async def stopped_run(transport: Silent, runtime: OpenCodeRuntime, number: int) -> None:
    """Let a child be created, prompted, aborted and released."""
    child, message = f"ses_{number:08}", f"msg_{number:08}"
    transport.tell("session.created", info={"id": child, "parentID": "ses_supervisor"})
    await runtime.prompt(child, Prompt(message=message, text="Work.", agent="general"))
    user = {"id": message, "role": "user", "sessionID": child, "agent": "general"}
    transport.tell("message.updated", info=user)
    answer = {"id": f"{message}a", "role": "assistant", "sessionID": child, "parentID": message}
    transport.tell("message.updated", info=answer)
    error = {"name": "MessageAbortedError", "data": {"message": "Aborted"}}
    transport.tell("session.error", sessionID=child, error=error)
    transport.tell("session.idle", sessionID=child)
    transport.tell("message.updated", info={**answer, "error": error})
    runtime.release(child)


async def test_runs_that_were_stopped_leave_nothing_behind(held: Callable[[], int]) -> None:
    """Neither in the runtime nor in the channel, which remembers whom a user has stopped."""
    transport = Silent()
    runtime = OpenCodeRuntime(transport)
    OpenCodeChannel(runtime)
    for number in range(KNOWN_SESSIONS * 2):
        await stopped_run(transport, runtime, number)
    before = held()
    for number in range(KNOWN_SESSIONS * 2, KNOWN_SESSIONS * 5):
        await stopped_run(transport, runtime, number)
    assert held() - before < MOST_BYTES


class Silent2(Silent):
    """The same of line 2, whose events are numbered."""

    def __init__(self) -> None:
        super().__init__()
        self._number = 0

    def tell_of(self, session: str, kind: str, **data: object) -> None:
        self._number += 1
        event = {
            "type": kind,
            "durable": {"seq": self._number},
            "data": {"sessionID": session, **data},
        }
        self.on_event(kind, msgspec.Raw(msgspec.json.encode(event)))


async def stopped_run_of_two(transport: Silent2, runtime: OpenCode2Runtime, number: int) -> None:
    """Let a child be created, prompted, asked something, interrupted and released."""
    child, message = f"ses_{number:08}", f"msg_{number:08}"
    info = {"id": child, "directory": "/project", "agent": "general"}
    transport.tell_of(child, "session.created", info=info)
    work = Prompt(message=message, text="Work.", agent="general", model="scripted/one")
    await runtime.prompt(child, work)
    stored = {"type": "user", "data": {"text": "Work."}}
    transport.tell_of(child, "session.input.admitted", inputID=message, input=stored)
    transport.tell_of(child, "session.input.promoted", inputID=message)
    transport.tell_of(child, "session.step.started", assistantMessageID=f"{message}a")
    transport.tell_of(child, "permission.asked", id=f"per_{number}", action="shell")
    transport.tell_of(child, "session.execution.interrupted", reason="user")
    runtime.release(child)


async def test_runs_of_line_2_that_were_stopped_leave_nothing_behind(
    held: Callable[[], int],
) -> None:
    transport = Silent2()
    runtime = OpenCode2Runtime(transport)
    OpenCode2Channel(runtime)
    for number in range(KNOWN_SESSIONS * 2):
        await stopped_run_of_two(transport, runtime, number)
    before = held()
    for number in range(KNOWN_SESSIONS * 2, KNOWN_SESSIONS * 5):
        await stopped_run_of_two(transport, runtime, number)
    assert held() - before < MOST_BYTES
