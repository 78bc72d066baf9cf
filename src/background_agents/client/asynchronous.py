"""The delegations of a project, for programs with an event loop: ``synchronous`` with ``await``.

Each operation is the one of the same name there, done on a thread of its own, since most of them
wait for a service's word. A task that is cancelled takes its thread with it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from background_agents.client.patience import TAKEOVER_S
from background_agents.client.synchronous import Client, Handle, connect_sync
from background_agents.domain.errors import InvalidRequest
from background_agents.views.json import EventSheet

AT_ONCE = 512
"""Operations of one client at the same time, most of which wait; further ones begin later."""

S = TypeVar("S")
T = TypeVar("T")
P = ParamSpec("P")


def connect(
    directory: str | os.PathLike[str] = ".",
    *,
    url: str | None = None,
    takeover_s: float = TAKEOVER_S,
) -> AsyncClient:
    """Return the delegations of the project that a folder belongs to; use it in an ``async with``.

    Arguments and errors are those of ``connect_sync``; errors come from entering it.
    """
    return AsyncClient(partial(connect_sync, directory, url=url, takeover_s=takeover_s))


class _Face(Generic[S]):
    """Does on threads what a ``Client`` or a ``Handle`` does."""

    def __init__(self, client: AsyncClient, synchronous: Callable[[Client], S]) -> None:
        self._client = client
        self._synchronous = synchronous

    async def _do(self, act: Callable[[S], T]) -> T:
        with self._client._opened.apart() as client:
            return await self._client._run(act, self._synchronous(client))

    async def _each(self, begin: Callable[[S], Iterator[T]]) -> AsyncGenerator[T, None]:
        over = object()
        with self._client._opened.apart() as client:
            each = begin(self._synchronous(client))
            while (one := await self._client._run(next, each, over)) is not over:
                yield one


def _awaited(
    method: Callable[Concatenate[S, P], T],
) -> Callable[Concatenate[_Face[S], P], Coroutine[Any, Any, T]]:
    """Return the same operation for an event loop."""

    @wraps(method)
    async def done(self: _Face[S], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._do(lambda one: method(one, *args, **kwargs))

    return done


def _iterated(
    method: Callable[Concatenate[S, P], Iterator[T]],
) -> Callable[Concatenate[_Face[S], P], AsyncGenerator[T, None]]:
    """Return the same iteration for an event loop."""

    @wraps(method)
    def each(self: _Face[S], /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        return self._each(lambda one: method(one, *args, **kwargs))

    return each


def _handled(
    method: Callable[Concatenate[Client, P], Handle],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, AsyncHandle]]:
    """Return the same operation for an event loop, with a handle for one."""

    @wraps(method)
    async def done(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncHandle:
        handle = await self._do(lambda one: method(one, *args, **kwargs))
        return AsyncHandle(self, handle.id)

    return done


class AsyncClient(_Face[Client]):
    """The delegations of one project, whoever has made them; see ``Client``.

    Cancelling ``delegate`` may come too late: the delegation may be made all the same.
    """

    def __init__(self, opening: Callable[[], Client]) -> None:
        super().__init__(self, lambda client: client)
        self._opening = opening
        self._open: Client | None = None
        self._threads = ThreadPoolExecutor(AT_ONCE, "background-agents")

    async def __aenter__(self) -> Self:
        self._open = await self._run(self._opening)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what is waited for here, with ``NotServed``; what runs goes on."""
        if self._open is not None:
            self._open.close()
        self._threads.shutdown(wait=False)

    delegate = _handled(Client.delegate)
    get = _handled(Client.get)
    active = _awaited(Client.active)
    list = _awaited(Client.list)
    search = _awaited(Client.search)
    wait = _awaited(Client.wait)
    stop_all = _iterated(Client.stop_all)

    async def _run(self, act: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, act, *args)

    @property
    def _opened(self) -> Client:
        if self._open is None:
            raise InvalidRequest("Enter it first: `async with background_agents.connect() as …`.")
        return self._open


class AsyncHandle(_Face[Handle]):
    """One delegation; ``async for`` over it yields what ``events`` does; see ``Handle``."""

    def __init__(self, client: AsyncClient, delegation: str) -> None:
        super().__init__(client, lambda one: Handle(one, delegation))
        self.id = delegation
        """Its readable id, such as ``brave-amber-otter``."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def __aiter__(self) -> AsyncIterator[EventSheet]:
        return self.events()

    status = _awaited(Handle.status)
    peek = _awaited(Handle.peek)
    transcript = _awaited(Handle.transcript)
    follow = _iterated(Handle.follow)
    events = _iterated(Handle.events)
    steer = _awaited(Handle.steer)
    answer = _awaited(Handle.answer)
    extend = _awaited(Handle.extend)
    annotate = _awaited(Handle.annotate)
    stop = _awaited(Handle.stop)
    wait = _awaited(Handle.wait)
    result = _awaited(Handle.result)
