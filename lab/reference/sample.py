"""Delegations that the examples of the reference tell of, made of events as real ones are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from background_agents.domain import delegation as domain
from background_agents.domain import events as ev
from background_agents.domain.asking import Ask, Question
from background_agents.domain.delegation import Delegation
from background_agents.ports.storage import Line

START = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)

NOW = START + timedelta(minutes=2, seconds=14)

_USAGE = ev.Usage(input_tokens=21_480, output_tokens=1_322, cost_usd=0.0412, tool_calls=7)


def _registered(name: str, title: str) -> ev.Registered:
    return ev.Registered(
        at=START,
        id=name,
        project="6f1c2ab9d0e4",
        directory="/home/you/orchard",
        root_session="ses_supervisor",
        parent_session="ses_supervisor",
        prompt=title,
        agent="explore",
        title=title,
        owner="4711:1",
        timeout=timedelta(minutes=15),
    )


def running(name: str = "mellow-violet-heron", title: str = "Which tests are slow") -> Delegation:
    """Return a delegation that is at work."""
    return domain.replay(
        _registered(name, title), [ev.Launched(at=START, session="ses_child", message="msg_1")]
    )


def completed() -> Delegation:
    """Return a delegation that has completed."""
    ended = ev.Completed(
        at=NOW,
        summary="PKCE binds the code to its client. Use S256, never plain.",
        usage=_USAGE,
        result_chars=4_180,
    )
    return domain.apply(running("brave-amber-otter", "OAuth2 PKCE best practices"), ended)


def failed() -> Delegation:
    """Return a delegation whose provider refused."""
    why = "Insufficient credits: this key cannot run model two."
    return domain.apply(running(), ev.Failed(at=NOW, summary=why, error=why))


def stopped() -> Delegation:
    """Return a delegation that its supervisor has stopped."""
    asked = domain.apply(running(), ev.StopRequested(at=NOW, by="supervisor"))
    why = "Stopped by the supervisor."
    return domain.apply(asked, ev.Stopped(at=NOW, summary=why, error=why, result_chars=1_204))


def permission() -> Ask:
    """Return what a run asks that wants to run a command."""
    return Ask(
        id="per_1", session="ses_child", permission="bash", patterns=("git push origin main",)
    )


def question() -> Ask:
    """Return what a run asks that does not know how to go on."""
    asked = Question("Which database should the test use?", ("SQLite", "PostgreSQL"))
    return Ask(id="que_1", session="ses_child", questions=(asked,))


def line(one: Delegation) -> Line:
    """Return what a list shows of a delegation."""
    return Line(
        id=one.id,
        title=one.title,
        agent=one.agent,
        status=one.status,
        summary=one.summary,
        registered_at=one.registered_at,
        ended_at=one.ended_at,
        read_at=one.read_at,
    )
