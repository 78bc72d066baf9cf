"""From the outcome of a run to its stored ending.

The order is the promise: the artifact is on disk before the state says so, and state and
notice are one commit. An ending is never given up while the disk refuses it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from typing import TypeVar

from background_agents.domain import events as ev
from background_agents.domain.changes import Changes
from background_agents.domain.delegation import Delegation, apply
from background_agents.domain.errors import StoreUnavailable
from background_agents.domain.notice import Notice, NoticeKind
from background_agents.domain.status import CUT_SHORT, Status
from background_agents.domain.text import SUMMARY_CHARS, one_line, summary_of
from background_agents.domain.transcript import Transcript
from background_agents.ports.storage import Change
from background_agents.service.context import Context, ProjectContext
from background_agents.service.running.messages import kept_notice
from background_agents.views import model as for_model
from background_agents.views import notices

T = TypeVar("T")

log = logging.getLogger(__name__)

INSIST_FIRST, INSIST_MOST = timedelta(seconds=0.2), timedelta(seconds=30)
"""Pauses between attempts to store something while the disk refuses it."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended, before anything of it is stored; without an error it completed."""

    status: Status
    text: str = ""
    error: str | None = None
    usage: ev.Usage = field(default_factory=ev.Usage)
    models: tuple[str, ...] = ()
    cut: str | None = None
    tools_for: timedelta | None = None

    @classmethod
    def completed(cls, seen: Transcript) -> Outcome:
        """Return that of a run whose newest answer is its result."""
        return cls(
            Status.COMPLETED,
            seen.result,
            usage=seen.usage,
            models=seen.models,
            cut=seen.cut,
            tools_for=seen.tools_for,
        )

    @classmethod
    def cut_short(cls, status: Status, error: str, seen: Transcript) -> Outcome:
        """Return that of a run that did not complete, with all that was written."""
        return cls(
            status, seen.everything, error, seen.usage, seen.models, tools_for=seen.tools_for
        )

    @classmethod
    def of_fault(cls, error: Exception) -> Outcome:
        """Return that of a run that met a fault of ours."""
        return cls(Status.FAILED, error=f"Internal error: {type(error).__name__}.")


async def store_ending(
    context: Context, delegation: Delegation, outcome: Outcome, ran_for: timedelta, changes: Changes
) -> tuple[Delegation, Notice]:
    """Store how a run ended; return the delegation as it then is, and its queued notice."""
    now = context.clock.now()
    said, messages = _still_kept(context, delegation)
    ending = _event(outcome, now, ran_for, changes)
    ended = apply(reduce(apply, said, delegation), ending)
    notice = notices.new(ended, NoticeKind.ENDED, context.mint("prt"), now)
    queued = ev.NoticeQueued(at=now, notice=notice.id)
    after = apply(ended, queued)
    body = for_model.artifact_body(ended, outcome.text)
    await insist(context, after.id, lambda: context.artifacts.write(after, body))
    change = Change(after=after, events=(*said, ending, queued), notices=(*messages, notice))
    await insist(context, after.id, lambda: context.store.commit(change))
    return after, notice


def _still_kept(
    context: Context, delegation: Delegation
) -> tuple[Sequence[ev.Event], Sequence[Notice]]:
    """Return what tells, along with the end, what its agent had said beyond its budget."""
    if not delegation.kept:
        return (), ()
    notice = kept_notice(context, delegation)
    return (ev.KeptTold(at=notice.created_at),), (notice,)


async def insist(context: ProjectContext, about: str, work: Callable[[], Awaitable[T]]) -> T:
    """Do ``work`` until the storage takes it, and return what came of it."""
    pause = INSIST_FIRST
    while True:
        try:
            return await work()
        except StoreUnavailable as error:
            log.error("the storage fails %s for now: %s", about, error)
        await context.clock.sleep(pause)
        pause = min(pause * 2, INSIST_MOST)


def _event(outcome: Outcome, now: datetime, ran_for: timedelta, changes: Changes) -> ev.Ended:
    """Return the event that an outcome is stored as."""
    if outcome.error is None:
        return ev.Completed(
            at=now,
            summary=summary_of(outcome.text),
            usage=outcome.usage,
            result_chars=len(outcome.text),
            models=outcome.models,
            ran_for=ran_for,
            cut=outcome.cut,
            changes=changes,
            tools_for=outcome.tools_for,
        )
    return CUT_SHORT[outcome.status](
        at=now,
        error=outcome.error,
        summary=one_line(outcome.error, SUMMARY_CHARS),
        usage=outcome.usage,
        result_chars=len(outcome.text),
        models=outcome.models,
        ran_for=ran_for,
        changes=changes,
        tools_for=outcome.tools_for,
    )
