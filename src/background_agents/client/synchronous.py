"""The delegations of a project, for programs that may block; ``asynchronous`` is its other face.

Looks are answered by the store, and by the service that runs what has not ended; whatever changes
something is that service's to do. Each call finds it anew. Where it has died, or has just begun
elsewhere, calls go on with whoever takes over, for ``takeover_s`` seconds at a stretch; only what
was sent and not answered is never sent again.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Concatenate, ParamSpec, Self

import msgspec

from background_agents.client.connection import LOOK_LIMIT_S, Connection
from background_agents.client.owners import as_told, by_owner, connection_to, sheets
from background_agents.client.patience import TAKEOVER_S, Interrupt, Patience
from background_agents.client.place import Place, place_of
from background_agents.control import protocol
from background_agents.control.protocol import Answered
from background_agents.domain.annotation import Annotation
from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import (
    DelegationError,
    HasEnded,
    InvalidRequest,
    NoResult,
    NotServed,
    OwnerGone,
)
from background_agents.domain.order import Order, again
from background_agents.domain.query import Query, parse
from background_agents.views.json import (
    ActiveSheet,
    EventSheet,
    PeekSheet,
    RequestSheet,
    Sheet,
    event_sheet,
    sheet,
)
from background_agents.views.live import BEGINNING

P = ParamSpec("P")

LISTED = 20
"""What a list and a search return unless they are asked for more."""

RECHECK_S = 60.0
"""After which a wait makes sure who runs it: a service that is frozen hangs up on nobody, while
another one may have taken over."""

DAY_S = 86_400.0
"""The same where nobody takes over; a socket does not wait for more than some weeks at once."""

Asks = Callable[[str, Sequence[RequestSheet]], None]
"""Hears that a delegation waits for answers: its id, and to what."""


def connect_sync(
    directory: str | os.PathLike[str] = ".",
    *,
    url: str | None = None,
    takeover_s: float = TAKEOVER_S,
) -> Client:
    """Return the delegations of the project that a folder belongs to; use it in a ``with``.

    Args:
        directory: Any folder of the project: its repository, a worktree, a folder in one.
        url: The running `opencode serve` that new delegations are handed to. By default it is an
            OpenCode that has the project open; where there is none, one is started without a
            screen, which ends a minute after its last delegation.
        takeover_s: For how many seconds calls go on looking for whoever takes over from a service
            that has died, before they raise ``NotServed``; 0 raises at once.

    Raises:
        InvalidRequest: ``directory`` is not a folder.
    """
    return Client(place_of(Path(directory)), url=url, takeover_s=takeover_s)


def _delegating(make: Callable[P, Order]) -> Callable[Concatenate[Client, P], Handle]:
    """Return the method ``delegate``, which takes what an order is made of."""

    def delegate(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Handle:
        """Hand a task to a background agent; returns once it is registered, in some milliseconds.

        Where an OpenCode has to be started for it that takes seconds, at the very first half a
        minute. The arguments are those of the tool ``delegate``: ``prompt`` and ``agent``, or
        ``retry_id``, and if need be ``timeout_minutes``, ``model``, ``continue_id``, ``isolation``,
        and as limits ``max_turns``, ``max_tokens`` and ``max_cost_usd``.

        Raises:
            InvalidRequest: an argument cannot be meant; nothing was delegated.
            NotServed: no OpenCode has the project open, and none could be started.
        """
        return Handle(self, self.order(make(*args, **kwargs)).id)

    return delegate


class Client:
    """The delegations of one project, whoever has made them.

    May be used by any number of threads. Every operation may raise ``StoreUnavailable``: the
    project's database cannot be read.
    """

    def __init__(
        self, place: Place, *, url: str | None = None, takeover_s: float = TAKEOVER_S
    ) -> None:
        self._place = place
        self._url = url
        self._takeover_s = takeover_s
        self._interrupt = Interrupt()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what other threads wait for here, with ``NotServed``; what runs goes on."""
        self._interrupt.set()

    delegate = _delegating(Order)

    def order(self, order: Order) -> Sheet:
        """Delegate what an order says, as ``delegate`` does; return it as it was registered."""
        # Here, since looks need neither.
        from background_agents.client.on_demand import service_for
        from background_agents.service.checks import check_order

        if order.retry_id:
            order = again(order, self._record(order.retry_id))
        check_order(order, None)  # before an OpenCode is started that would only refuse it
        if order.continue_id:
            order = msgspec.structs.replace(order, continue_id=self.get(order.continue_id).id)
        connection, directory = service_for(self._place, self._url)
        with self._held(connection):
            return connection.delegate(directory, order)

    def get(self, delegation: str) -> Handle:
        """Return a handle on a delegation of the project.

        Args:
            delegation: Its id, or enough of it to be unambiguous.

        Raises:
            InvalidRequest: there is none, or there are several.
        """
        return Handle(self, self._record(delegation).id)

    def active(self) -> Sequence[ActiveSheet]:
        """Return what has not ended, oldest first, each as the service tells of it that runs it."""
        with self._place.records() as records:
            return as_told(self._place.folder, records.active())

    def list(self, query: str = "", *, limit: int | None = LISTED) -> Sequence[Sheet]:
        """Return the delegations that a query asks for, newest first.

        Args:
            query: Words, and facts such as ``state:failed @explore``, as `bga list` takes them.
            limit: How many at most; None for all.

        Raises:
            InvalidRequest: the query cannot be meant.
        """
        return self._found(parse([query]), limit)

    def search(self, query: str, *, limit: int | None = LISTED) -> Sequence[Sheet]:
        """Return the delegations that hold the query's words, the best match first.

        Takes what ``list`` does, with words among it. What is new is indexed first, which for
        thousands of results takes seconds, once.

        Raises:
            InvalidRequest: the query cannot be meant, or has no words.
        """
        asked = parse([query])
        if not asked.is_full_text:
            raise InvalidRequest("A search is for words; `list` takes facts alone.")
        return self._found(asked, limit, by_rank=True)

    def wait(
        self,
        ids: Sequence[str] | None = None,
        *,
        timeout_s: float | None = None,
        for_any: bool = False,
        asks: Asks | None = None,
    ) -> Sequence[Sheet]:
        """Return delegations as they are once all have ended, or ``timeout_s`` is over.

        Args:
            ids: Which ones; by default all that are active.
            timeout_s: How long at most, in seconds; None for as long as it takes. One that has not
                ended by then has no ``ended_at``.
            for_any: Return once one of them has ended.
            asks: Is called when one begins to wait for an answer, on a thread of its own.

        Raises:
            InvalidRequest: there is no such delegation.
            NotServed: it cannot come about: what ran one has ended, and nobody has taken over.
        """
        with self._place.records() as records:
            found = records.active() if ids is None else [records.resolve(one) for one in ids]
        now = datetime.now(UTC)
        as_known = {one.id: sheet(one, now) for one in found}
        open_ = [one for one in found if not one.is_terminal]
        if for_any and len(open_) < len(found):
            open_ = []  # one has ended already
        ends_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        from queue import SimpleQueue  # here, since nothing else needs it

        told: SimpleQueue[Sequence[Sheet] | Exception] = SimpleQueue()

        def watch(part: Client, group: Sequence[Delegation]) -> None:
            try:
                told.put(part._awaited([one.id for one in group], ends_s, for_any, asks))
            except Exception as error:  # whoever waits for the answer raises it
                told.put(error)

        groups = by_owner(open_).values()
        with ExitStack() as watching:
            for group in groups:
                # A thread for each process that is waited for; they end with this block.
                part = watching.enter_context(self.apart())
                threading.Thread(target=watch, args=(part, group), daemon=True).start()
            for left in reversed(range(len(groups))):
                answer = told.get()
                if isinstance(answer, Exception):
                    if for_any and left and isinstance(answer, DelegationError):
                        continue  # another process may still bring one to its end
                    raise answer
                as_known |= {one.id: one for one in answer}
                if for_any and any(one.ended_at for one in as_known.values()):
                    break
        return tuple(as_known.values())

    def stop_all(self, ids: Sequence[str]) -> Iterator[Sheet | DelegationError]:
        """Stop delegations in one act, of which their supervisor is told once.

        Yields each as it is once its session is quiet, or why it is not stopped. Raises
        ``InvalidRequest`` where there is no such delegation, before any is stopped.
        """
        with self._place.records() as records:
            found = [records.resolve(one) for one in ids]
        yield from sheets(self._place.folder, [one for one in found if one.is_terminal])
        for group in by_owner([one for one in found if not one.is_terminal]).values():
            names, patience = [one.id for one in group], self._patience()
            try:
                connection = next(filter(None, (self._reach(one, patience) for one in names)), None)
                if connection is None:
                    yield from sheets(self._place.folder, list(map(self._record, names)))
                    continue
                with self._held(connection):
                    stopped = connection.stop_all(self._place.project, names)
            except OwnerGone:
                yield from map(OwnerGone, names)
            except DelegationError as error:
                yield error
            else:
                yield from stopped

    @contextmanager
    def apart(self) -> Iterator[Client]:
        """Give the same to another thread; what that waits for ends with the block, or with us."""
        other = Client(self._place, url=self._url, takeover_s=self._takeover_s)
        with other, self._interrupt.calls(other.close):
            yield other

    def _found(self, query: Query, limit: int | None, *, by_rank: bool = False) -> Sequence[Sheet]:
        from background_agents.client.projects import Project

        with self._place.records() as records:
            project = Project(self._place.folder, records, lambda _done, _total: None)
            numbers = project.find(query, limit, by_rank=by_rank).numbers
            return sheets(self._place.folder, tuple(records.delegations(numbers)))

    def _awaited(
        self, ids: Sequence[str], ends_s: float, for_any: bool, asks: Asks | None
    ) -> Sequence[Sheet]:
        heard: set[tuple[str, ...]] = set()

        def note(told: protocol.Asks) -> None:
            requests = (told.id, *(one.id for one in told.requests))
            if asks is not None and requests not in heard:
                heard.add(requests)  # a second call, here or elsewhere, is told of them again
                asks(told.id, told.requests)

        patience, at_once_s = self._patience(), RECHECK_S if self._takeover_s else DAY_S
        for attempt in count():
            with self._place.records() as records:
                found = [records.resolve(one) for one in ids]
            open_ = [one for one in found if not one.is_terminal]
            left_s = max(ends_s - time.monotonic(), 0.0)
            if not open_ or (for_any and len(open_) < len(found)) or (attempt and not left_s):
                break
            # Two processes may have shared between them what one has left behind.
            with patience, self._held(connection_to(open_[0], self._place)) as connection:
                connection.wait(
                    protocol.Awaited(
                        project=self._place.project,
                        ids=tuple(one.id for one in open_ if one.owner == open_[0].owner),
                        limit_s=min(left_s, at_once_s),
                        for_any=for_any,
                    ),
                    note,
                )
        return sheets(self._place.folder, found)

    def _record(self, delegation: str) -> Delegation:
        with self._place.records() as records:
            return records.resolve(delegation)

    def _patience(self) -> Patience:
        return Patience(self._takeover_s, self._interrupt)

    @contextmanager
    def _held(self, connection: Connection) -> Iterator[Connection]:
        """Close a connection after use; closing us ends what is waited for there."""
        with connection, self._interrupt.calls(connection.interrupt):
            yield connection

    def _reach(self, delegation: str, patience: Patience) -> Connection | None:
        """Connect to whoever runs a delegation, once somebody does; None if it has ended."""
        while not (one := self._record(delegation)).is_terminal:
            try:
                return connection_to(one, self._place)
            except NotServed:
                if not patience.bears():
                    raise
        return None

    def _teller(self, one: Delegation, *, start: bool) -> Connection:
        """Connect to who runs a delegation, or to an OpenCode that may have its session."""
        # Here, since looks need neither.
        from background_agents.client.on_demand import open_in, service_for

        if (connection := self._reach(one.id, self._patience())) is not None:
            return connection
        there = Path(one.directory)
        place = replace(self._place, directory=there) if there.is_dir() else self._place
        found = open_in(place) or open_in(self._place)
        if found is None and not start:
            raise NotServed(f"No OpenCode has {place.directory} open.")
        return (found or service_for(place, self._url))[0]

    def _acting(self, delegation: str) -> AbstractContextManager[Connection]:
        """Connect to whoever runs a delegation. Raises ``InvalidRequest`` if it has ended."""
        connection = self._reach(delegation, self._patience())
        if connection is None:
            ended = self._record(delegation)
            raise HasEnded(ended.id, ended.status)
        return self._held(connection)


class Handle:
    """One delegation; iterating over it yields what ``events`` does.

    What is asked of its service raises ``NotServed`` where that died and nobody has taken over, or
    does not answer; what is asked of the agent ``InvalidRequest`` where it cannot be done.
    """

    def __init__(self, client: Client, delegation: str) -> None:
        self._client = client
        self.id = delegation
        """Its readable id, such as ``brave-amber-otter``."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def __iter__(self) -> Iterator[EventSheet]:
        return self.events()

    def status(self) -> Sheet:
        """Return all facts of it, as its service tells them or else as they are stored."""
        one = self._client._record(self.id)
        with suppress(NotServed, InvalidRequest):
            if not one.is_terminal:
                with self._client._held(connection_to(one, self._client._place)) as connection:
                    # What is stored already is known to its service in a moment.
                    return connection.change(one.project, one.id, one.version - 1, LOOK_LIMIT_S)
        return sheet(one, datetime.now(UTC))

    def peek(self) -> PeekSheet:
        """Return what it has written so far, and how it is doing.

        Raises:
            InvalidRequest: it has ended.
        """
        with self._client._acting(self.id) as connection:
            return connection.peek(self._client._place.project, self.id)

    def transcript(self, *, start: bool = True) -> str:
        """Return all of its run: what it was told, as quotations, and what it wrote and did.

        Of one that has ended OpenCode keeps it, so that one has to run: where none has the
        project open, it is started as for ``delegate``.

        Args:
            start: False: raise ``NotServed`` rather than start an OpenCode.

        Raises:
            InvalidRequest: it has never begun, or OpenCode has its session no longer.
            NotServed: there is no OpenCode that could tell.
        """
        one = self._client._record(self.id)
        if one.session is None and one.is_terminal:
            raise InvalidRequest(f"{one.id} has ended ({one.status}) before it had a session.")
        with self._client._held(self._client._teller(one, start=start)) as connection:
            return connection.transcript(one.project, one.id)

    def follow(self, *, from_prompt: bool = False) -> Iterator[str]:
        """Yield what it has written so far, then what it writes, until it has ended.

        Tool calls are lines in square brackets.

        Args:
            from_prompt: Begin with all of ``transcript``, which has what it was told, too.
        """
        seen, patience = BEGINNING, self._client._patience()
        while (connection := self._client._reach(self.id, patience)) is not None:
            with patience, self._client._held(connection):
                for wrote in connection.follow(
                    self._client._place.project, self.id, seen, from_prompt=from_prompt
                ):
                    from_prompt = False
                    patience.renew()
                    seen = wrote.position
                    yield wrote.text

    def events(self) -> Iterator[EventSheet]:
        """Yield what has happened to it, then what happens, until it has ended; each once."""
        known, patience = 0, self._client._patience()
        while True:
            with self._client._place.records() as records:
                # In this order: an event that is stored between the two is not the last one.
                one = records.resolve(self.id)
                history = records.history(one.id)
            yield from map(event_sheet, history[known:])
            known = len(history)
            if one.is_terminal:
                return
            connection = self._client._reach(self.id, patience)
            if connection is not None:
                with patience, self._client._held(connection):
                    connection.change(one.project, one.id, one.version, RECHECK_S)

    def steer(self, message: str) -> Sheet:
        """Put an instruction into the current run; returns once it is sent.

        ``steers_confirmed`` of its status counts those that the agent has taken up.

        Raises:
            InvalidRequest: the message is empty, or it has ended, or not begun.
        """
        with self._client._acting(self.id) as connection:
            return connection.steer(self._client._place.project, self.id, message)

    def answer(self, reply: str, *, request: str = "") -> Answered:
        """Answer the oldest request that it waits for; return what that was.

        Args:
            reply: ``once``, ``always`` or ``reject: why`` for a permission, words for a question.
            request: The id of the request that is meant; another one is not answered then.

        Raises:
            InvalidRequest: nothing is asked, or the reply is no answer to it.
        """
        with self._client._acting(self.id) as connection:
            return connection.answer(self._client._place.project, self.id, reply, request)

    def extend(self, minutes: float) -> Sheet:
        """Give it so many minutes more than it has; ``timeout_s`` of the answer is the whole then.

        Args:
            minutes: How many; 0 = it has no time limit from then on.

        Raises:
            InvalidRequest: it has ended, has no time limit, or the number cannot be meant.
        """
        from background_agents.service.checks import check_timeout

        check_timeout(minutes, name="minutes")
        with self._client._acting(self.id) as connection:
            return connection.extend(self._client._place.project, self.id, minutes)

    def annotate(
        self, labels: Sequence[str] = (), *, without: Sequence[str] = (), note: str | None = None
    ) -> Sheet:
        """Give it labels or a note for people, be it running or not; no model is told of them.

        Args:
            labels: To be added.
            without: To be taken away.
            note: In place of the one before; empty for none.

        Raises:
            InvalidRequest: a label or the note cannot be meant.
            StoreUnavailable: it cannot be stored now.
        """
        from background_agents.client.results import annotate

        change = Annotation(labels=tuple(labels), without=tuple(without), note=note)
        connection = self._client._reach(self.id, self._client._patience())
        if connection is None:
            after = annotate(self._client._record(self.id), self._client._place, change)
            return sheet(after, datetime.now(UTC))
        with self._client._held(connection):
            return connection.annotate(self._client._place.project, self.id, change)

    def stop(self) -> Sheet:
        """End it, and keep what it wrote; return it as it is once its session is quiet.

        One that has ended already is returned as it is.
        """
        connection = self._client._reach(self.id, self._client._patience())
        if connection is None:
            return self.status()
        with self._client._held(connection):
            return connection.stop(self._client._place.project, self.id)

    def wait(self, timeout_s: float | None = None) -> Sheet:
        """Return it as it is once it has ended, or ``timeout_s`` seconds are over.

        It has no ``ended_at`` where the time was over first.
        """
        (found,) = self._client.wait([self.id], timeout_s=timeout_s)
        return found

    def result(self, *, mark_read: bool = True) -> str:
        """Return its result, or what it had written when it was cut short.

        Args:
            mark_read: Note that it was read, as `bga read` does, if a person or a program had
                delegated it; what a model has delegated stays unread until that model reads it.

        Raises:
            InvalidRequest: it has not ended.
            StoreUnavailable: the result cannot be read, or that it was read cannot be noted.
        """
        from background_agents.client.results import note_read, result

        one, place = self._client._record(self.id), self._client._place
        if not one.is_terminal:
            raise NoResult(one.id, one.status)
        text = result(one, place.folder)
        if mark_read:
            note_read(one, place)
        return text
