"""How long a call goes on while nobody runs what it is about, and what ends it early."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from background_agents.domain.errors import InvalidRequest, NotServed

TAKEOVER_S = 40.0
"""A host starts a service that has died again within seconds; any other that lives looks for
orphans every 10 s, and leaves those whose OpenCode still runs to that one for 15 s more."""

LOOK_AGAIN_S = 0.2
"""Between two looks for whoever has taken over: no event tells of a process that another starts."""


class Interrupt:
    """Lets another thread end what is waited for; once it is set, nothing more is begun."""

    def __init__(self) -> None:
        self._is_set = threading.Event()
        self._lock = threading.Lock()
        self._ends: list[Callable[[], None]] = []

    def set(self) -> None:
        """End it."""
        with self._lock:
            self._is_set.set()
            for end in self._ends:
                end()

    def sleep(self, seconds: float) -> None:
        """Return after a while. Raises ``NotServed`` if it is set by then."""
        if self._is_set.wait(seconds):
            raise NotServed("The client was closed while this was waited for.")

    @contextmanager
    def calls(self, end: Callable[[], None]) -> Iterator[None]:
        """Have ``end`` called if it is set within the block. Raises ``NotServed`` if it is."""
        with self._lock:
            self.sleep(0)
            self._ends.append(end)
        try:
            yield
        finally:
            with self._lock:
                self._ends.remove(end)


class Patience:
    """Bears that a look fails, in ``with``, for ``limit_s`` seconds from the first failure on.

    What is refused counts too: whoever takes over owns a delegation a moment before it runs it.
    """

    def __init__(self, limit_s: float, interrupt: Interrupt) -> None:
        self._limit_s = limit_s
        self._interrupt = interrupt
        self._ends_s: float | None = None

    def __enter__(self) -> None:
        """Begin an attempt."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if error is None:
            self.renew()
        return isinstance(error, NotServed | InvalidRequest) and self.bears()

    def renew(self) -> None:
        """Somebody has answered."""
        self._ends_s = None

    def bears(self) -> bool:
        """Return when it is time to try again: whether there is hope left."""
        now = time.monotonic()
        if self._ends_s is None:
            self._ends_s = now + self._limit_s
        if now >= self._ends_s:
            return False
        self._interrupt.sleep(LOOK_AGAIN_S)
        return True
