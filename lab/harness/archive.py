"""A project's past: any number of delegations, as the real code stores them, in one go.

Rows by the store's own statements, files as the artifacts are written; only the fsync after
each is left out. What the texts say can be searched for: ``EVERYWHERE`` stands in each, and
``needle(n)`` in one alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from background_agents.adapters.files.artifacts import MarkdownArtifacts, render
from background_agents.adapters.files.private import FILE_MODE, private_folder
from background_agents.adapters.sqlite import rows
from background_agents.adapters.sqlite.schema import connect
from background_agents.config import DATABASE
from background_agents.domain import delegation as domain
from background_agents.domain import events as ev
from background_agents.domain.delegation import Delegation
from background_agents.domain.notice import Notice, NoticeState
from background_agents.domain.text import title_of
from background_agents.ports.storage import Change

EVERYWHERE = "delegated"
"""A word of every prompt."""

SOMETIMES = "authentication"
"""A word of one result in ten."""

_COLOURS = ("amber", "black", "blue", "gray", "green", "olive", "pink", "red", "teal", "white")
_MOODS = ("brave", "calm", "eager", "gentle", "kind", "lazy", "proud", "quiet", "shy", "swift")
_BEASTS = ("crow", "heron", "lynx", "mole", "newt", "otter", "seal", "swan", "toad", "wren")

_AGENTS = ("researcher", "reviewer", "general", "explore")
_MODELS = ("acme/large", "acme/small", "umbrella/fast", None)

_SYLLABLES = ("ba", "co", "di", "fe", "gu", "ha", "jo", "ki", "lu", "me", "no", "pa", "ri", "so")


@dataclass(frozen=True)
class Plan:
    """What an archive holds."""

    count: int
    start: int = 0
    """The number of the first, where another archive has those before."""
    active: int = 2
    """The newest so many have not ended."""
    unread_every: int = 10
    prompt_words: int = 120
    result_words: int = 400
    newest: datetime = datetime(2030, 1, 1, 12, tzinfo=UTC)
    apart: timedelta = timedelta(minutes=7)
    roots: int = 20
    project: str = "p1"
    artifacts: bool = True

    @property
    def end(self) -> int:
        """The number after the last one."""
        return self.start + self.count


def needle(number: int) -> str:
    """Return a word that stands in the result of delegation ``number`` alone."""
    return f"needle{number}x"


def name_of(number: int) -> str:
    """Return the id of delegation ``number``."""
    words = (_MOODS[number % 10], _COLOURS[number // 10 % 10], _BEASTS[number // 100 % 10])
    return "-".join(words) + (f"-{number // 1000}" if number >= 1000 else "")


def fill(folder: Path, plan: Plan) -> list[str]:
    """Store an archive in a project's folder; return the ids, oldest first."""
    private_folder(folder)
    artifacts = MarkdownArtifacts(folder)
    names = []
    with closing(connect(folder / DATABASE)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for number in range(plan.start, plan.end):
            first, later = _first(plan, number), tuple(_later(plan, number))
            after = domain.replay(first, later)
            rows.register(connection, first)
            notices = (_notice(after),) if after.is_terminal else ()
            rows.commit(connection, Change(after=after, events=later, notices=notices))
            if after.is_terminal and plan.artifacts:
                _write(artifacts, after, _result(plan, number))
            names.append(first.id)
        connection.execute("COMMIT")
    return names


def _began(plan: Plan, number: int) -> datetime:
    return plan.newest - plan.apart * (plan.end - number)


def _first(plan: Plan, number: int) -> ev.Registered:
    about = f"Find out how {_words(3, number)} works. This was {EVERYWHERE}."
    prompt = f"{about}\n{_words(plan.prompt_words, number)}"
    return ev.Registered(
        at=_began(plan, number),
        id=name_of(number),
        project=plan.project,
        directory="/src/project",
        root_session=f"ses_root{number % plan.roots}",
        parent_session=f"ses_root{number % plan.roots}",
        prompt=prompt,
        agent=_AGENTS[number % len(_AGENTS)],
        title=title_of(prompt),
        owner="1:1",
        model=_MODELS[number // 4 % len(_MODELS)],
        timeout=timedelta(minutes=15),
    )


def _later(plan: Plan, number: int) -> Iterator[ev.Event]:
    began = _began(plan, number)
    yield ev.Launched(at=began + timedelta(seconds=1), session=f"ses_{number}", message="msg_1")
    if number >= plan.end - plan.active:
        return
    yield from _ending(plan, number, began + timedelta(seconds=30 + number % 300))


def _ending(plan: Plan, number: int, at: datetime) -> Iterator[ev.Event]:
    usage = ev.Usage(input_tokens=1000 + number % 900, output_tokens=200, cost_usd=0.01,
                     tool_calls=number % 7)  # fmt: skip
    summary, chars = f"It is so: {_words(12, number)}.", len(_result(plan, number))
    if number % 20 == 7:
        yield ev.Failed(at=at, summary="", usage=usage, result_chars=chars, error="Model not found")
    elif number % 50 == 8:
        yield ev.Stopped(at=at, summary=summary, usage=usage, result_chars=chars, error="Stopped.")
    else:
        yield ev.Completed(at=at, summary=summary, usage=usage, result_chars=chars)
    yield ev.NoticeQueued(at=at, notice=f"prt_{number}")
    yield ev.NoticeConfirmed(at=at + timedelta(seconds=1), notice=f"prt_{number}")
    if number % plan.unread_every:
        yield ev.Read(at=at + timedelta(seconds=9))


def _notice(after: Delegation) -> Notice:
    return Notice(
        id=f"prt_{after.id}",
        delegation=after.id,
        supervisor=after.parent_session,
        created_at=after.ended_at or after.registered_at,
        status=after.status.value,
        title=after.title,
        summary=after.summary,
        elapsed="30s",
        state=NoticeState.CONFIRMED,
        message=f"msg_{after.id}",
        text=f"<task-notification>{after.id}</task-notification>",
    )


def _write(artifacts: MarkdownArtifacts, after: Delegation, result: str) -> None:
    path = artifacts.path(after)
    private_folder(path.parent)
    path.write_text(render(after, result), "utf-8")
    path.chmod(FILE_MODE)


def _result(plan: Plan, number: int) -> str:
    rare = f" {SOMETIMES}" if number % 10 == 3 else ""
    return f"# Result\n\n{_words(plan.result_words, number + 1)} {needle(number)}{rare}.\n"


def _words(count: int, seed: int) -> str:
    """Return words, some of them common and most of them rare, as in real texts."""
    chance = random.Random(seed)
    return " ".join(_word(int(chance.paretovariate(0.6))) for _ in range(count))


def _word(rank: int) -> str:
    word, rank = "", min(rank, 10**6) + 13
    while rank:
        rank, rest = divmod(rank, len(_SYLLABLES))
        word += _SYLLABLES[rest]
    return word
