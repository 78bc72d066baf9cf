"""What the demo's model answers: the supervisor's work, and what its agents find out.

Content only; when which answer is due is decided in ``script.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.demo import story

OTHER_MODEL = "scripted/two"
"""The model whose provider refuses to answer."""


@dataclass(frozen=True)
class Call:
    """A tool call."""

    tool: str
    args: Mapping[str, object]


@dataclass(frozen=True)
class Refusal:
    """The provider answers with an HTTP error."""

    status: int
    message: str


@dataclass(frozen=True)
class Turn:
    """One answer of the model: its text, written word by word, then its tool calls."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    seconds: float = 1.0
    refusal: Refusal | None = None


ALGORITHM_REPORT = """\
# Use a token bucket for each API key

A token bucket fits best: it allows the short bursts that partners send when a truck is
scanned, it holds two numbers for each key, and it needs no timer.

| | bursts | memory for each key | edge effects |
| --- | --- | --- | --- |
| token bucket | allowed, bounded | 2 numbers | none |
| sliding window | cut off | one time stamp a request | none |
| fixed window | allowed | 1 number | twice the limit at a boundary |

**Start with** 20 requests a second and a burst of 40 for each key. `app.py` is one process,
so the buckets can live in memory; a second process would need a shared store.
"""

CLIENT_REPORT = """\
# No: one 429 becomes five requests

`client.py` has one place that sends requests (line 12), and it makes a limit worse:

1. **No back-off** (line 10): five attempts in a row, with no pause between them. A partner
   who is limited sends five times the traffic at that very moment.
2. **429 is retried like a server error** (line 15): `error.code < 429` lets 429 and all of
   5xx through to the next attempt.
3. **Retry-After is never read**, so the server cannot slow the client down.
4. After the fifth attempt the error is a bare `RuntimeError` (line 17), and a caller cannot
   tell "limited" from "down".

**Fix before the limit is switched on:** on a 429 wait for `Retry-After` seconds (1 s if it is
missing, at most 30 s), double the pause with each attempt, and raise an error of its own at
the end. `app.py` has to send that header with every 429. About 15 lines, no new dependency.
"""

CONCLUSION = """\
The limiter is ready: a token bucket for each key, 20 requests a second with a burst of 40, as \
the first report recommends. Do not switch it on yet: the audit shows that client.py answers a \
429 with five requests in a row (line 10). Next: teach the client to wait for Retry-After, ship \
it to the partners, then turn the limit on."""

LIMITER = '''\
"""A token bucket for each API key."""

import time


class Limiter:
    def __init__(self, per_second: float = 20, burst: float = 40, clock=time.monotonic):
        self._rate, self._burst, self._clock = per_second, burst, clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def allows(self, key: str) -> bool:
        now = self._clock()
        tokens, at = self._buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        self._buckets[key] = (max(tokens - 1, 0) if tokens >= 1 else tokens, now)
        return tokens >= 1
'''

LIMITER_TEST = """\
import unittest

from limiter import Limiter


class LimiterTest(unittest.TestCase):
    def test_a_burst_is_bounded(self):
        limiter = Limiter(burst=3, clock=lambda: 0)
        self.assertEqual([limiter.allows("a") for _ in range(4)], [True, True, True, False])

    def test_keys_do_not_share_a_bucket(self):
        limiter = Limiter(burst=1, clock=lambda: 0)
        self.assertTrue(limiter.allows("a") and limiter.allows("b"))
"""


def _read(name: str) -> Call:
    return Call("read", {"filePath": name})


def _write(name: str, content: str) -> Call:
    return Call("write", {"filePath": name, "content": content})


def _bash(command: str, description: str) -> Call:
    return Call("bash", {"command": command, "description": description})


def _delegate(task: story.Task) -> Call:
    args = {"prompt": task.prompt, "agent": task.agent}
    return Call("delegate", args | ({"model": OTHER_MODEL} if task is story.FAILING else {}))


SUPERVISOR: Sequence[Turn] = (
    Turn("Three questions, three agents.", tuple(map(_delegate, story.TASKS)), 0.8),
    Turn("While they look into it: what is there today?", (_read("app.py"),), 1.2),
    Turn("A token bucket for each key is enough.", (_write("limiter.py", LIMITER),), 1.6),
    Turn("And a test for it.", (_write("test_limiter.py", LIMITER_TEST),), 1.4),
    Turn("Does it hold?", (_bash("python3 -m unittest -q test_limiter.py", "Run the tests"),), 1.0),
)
"""What the supervisor does while its agents are at work, one model call after the other."""

LAST_WORDS = "The limiter is written. I end my turn here; the reports will wake me."

AGENTS: Mapping[story.Task, Sequence[Turn]] = {
    story.ALGORITHM: (
        Turn("First the server itself.", (_read("app.py"),), 0.8),
        Turn(ALGORITHM_REPORT, seconds=3.0),
    ),
    story.HEADERS: (
        Turn("First what this project sends today.", (_read("README.md"),), 0.8),
        Turn(
            refusal=Refusal(402, "Insufficient credits: this key cannot run model two."),
            seconds=0.8,
        ),
    ),
    story.CLIENT: (
        Turn(
            "Where are requests sent, and is there any back-off?",
            (_bash("grep -nE 'urlopen\\(|sleep|Retry-After' *.py", "Find requests and pauses"),),
            1.2,
        ),
        Turn("One place. Now the code around it.", (_read("client.py"),), 1.2),
        Turn("And what the server would answer.", (_read("app.py"),), 1.2),
        Turn(CLIENT_REPORT, seconds=6.5),
    ),
}
"""What each task's agent does, one model call after the other."""
