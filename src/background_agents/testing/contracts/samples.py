"""Sample delegations, events and notices for tests that do not care which ones they get."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from background_agents.domain import delegation as domain
from background_agents.domain import events as ev
from background_agents.domain.asking import Ask, Question
from background_agents.domain.delegation import Delegation
from background_agents.domain.notice import Notice

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ROOT = "ses_root"

PERMISSION = Ask(id="per_1", session="ses_child", permission="bash", patterns=("ls",))
QUESTION = Ask(id="que_2", session="ses_child", questions=(Question("Which one?", ("A", "B")),))


def at(seconds: float) -> datetime:
    """Return the moment ``seconds`` after noon."""
    return NOON + timedelta(seconds=seconds)


def registered(
    name: str = "brave-amber-otter",
    *,
    root: str = ROOT,
    parent: str | None = None,
    prompt: str = "Find out how PKCE works.",
    owner: str = "me",
) -> ev.Registered:
    """Return the first event of a delegation."""
    return ev.Registered(
        at=NOON,
        id=name,
        project="p1",
        directory="/src/project",
        root_session=root,
        parent_session=parent or root,
        prompt=prompt,
        agent="researcher",
        title="How PKCE works",
        owner=owner,
        model="acme/large",
        timeout=timedelta(minutes=15),
    )


def launched(session: str = "ses_child") -> ev.Launched:
    """Return the event by which a delegation runs."""
    return ev.Launched(at=at(1), session=session, message="msg_prompt")


def completed() -> ev.Completed:
    """Return an ending with numbers and text."""
    usage = ev.Usage(input_tokens=1200, output_tokens=340, cost_usd=0.0125, tool_calls=7)
    return ev.Completed(
        at=at(134), summary="PKCE binds the code to its client.", usage=usage, result_chars=42
    )


def finished(name: str = "brave-amber-otter") -> Delegation:
    """Return a delegation that ran and completed."""
    return domain.replay(registered(name), (launched(), completed()))


def notice(name: str, *, delegation: str = "brave-amber-otter", supervisor: str = ROOT) -> Notice:
    """Return a notice that waits in the outbox."""
    return Notice(
        id=name,
        delegation=delegation,
        supervisor=supervisor,
        created_at=at(134),
        status="completed",
        title="How PKCE works",
        summary="PKCE binds the code to its client.",
        elapsed="2m 13s",
    )
