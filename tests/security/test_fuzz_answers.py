"""Whatever OpenCode's API answers, no error but the ports' own gets past the adapter."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from background_agents.adapters.opencode.transport import Response
from background_agents.adapters.opencode.transport_bridge import BridgeTransport
from background_agents.adapters.opencode.v1.api import Api
from background_agents.adapters.opencode.v2.api import Api as Api2
from background_agents.adapters.opencode.v2.wire import ModelRef
from background_agents.domain.asking import Ask
from background_agents.domain.errors import RuntimeRefused, RuntimeUnreachable
from background_agents.rpc.connection import Connection
from lab.harness.pairs import pair

CALLS = [
    (kind, name)
    for kind in (Api, Api2)
    for name, _ in inspect.getmembers(kind, inspect.iscoroutinefunction)
    if name[0] != "_"
]
"""Every call that the adapters make."""

ARGUMENTS: dict[str, object] = {
    "ask": Ask(id="per_1", session="ses_1"),
    "body": {},
    "rules": [],
    "answers": [["yes"]],
    "limit": 1,
    "model": ModelRef(),
    "values": {},
    "after": 1,
    "count": 1,
}

DEEP = b"[" * 100_000

json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
)


class Says:
    """A transport whose OpenCode answers everything with the same words."""

    ends_with_turn = False

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def request(
        self, method: str, path: str, body: object = None, directory: str = ""
    ) -> Response:
        return Response(200, self._body)

    def follow(self, session: str) -> None:
        """Nothing happens there."""

    def release(self, session: str) -> None:
        """Nothing happens there."""


@pytest.mark.parametrize(("kind", "name"), CALLS)
@given(body=st.binary(max_size=40) | json_like.map(lambda value: repr(value).encode()))
@example(body=b"")
@example(body=b"<html>a proxy's page</html>")
@example(body=b'{"id": 1}')
@example(body=b"\xff\xfe")
@example(body=DEEP)
@settings(max_examples=40, deadline=None)
def test_an_answer_that_is_none_is_refused(kind: type[Api | Api2], name: str, body: bytes) -> None:
    call = getattr(kind(Says(body)), name)  # type: ignore[arg-type]
    wanted = inspect.signature(call).parameters
    asked = call(**{key: ARGUMENTS.get(key, "ses_1") for key in wanted})
    try:
        asked.send(None)  # nothing in it waits
    except StopIteration:
        return  # it could be read, or is not looked at
    except RuntimeRefused:
        return  # with one sentence; any other error fails the test


@pytest.mark.parametrize("body", ["", "<html>", "[]", "\ud83d", DEEP.decode()])
async def test_a_version_that_cannot_be_read_is_refused(body: str) -> None:
    """The bridge asks for it before the first request of an OpenCode that serves a port."""

    async def fetch(_raw: object) -> dict[str, object]:
        return {"status": 200, "body": body.encode(errors="replace").decode()}

    ours, _ = pair(
        lambda write: Connection(write), lambda write: Connection(write, calls={"fetch": fetch})
    )
    transport = BridgeTransport(ours, 1, "http://127.0.0.1:1")
    with pytest.raises((RuntimeRefused, RuntimeUnreachable)):
        await Api(transport).agents()
