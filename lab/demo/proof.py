"""What the demo has shown, counted afterwards in the transcript and in the files.

Every line is a check that can fail; a demo that does not keep its word says so.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.demo.timeline import Agent, Timeline, counted
from lab.harness.client import StoredMessage


@dataclass(frozen=True)
class Check:
    """Something the demo promises, and whether it was seen."""

    holds: bool
    text: str


def keep_artifacts(data: Path, session: str, kept: Path) -> dict[str, Path]:
    """Copy the artifacts of a session's delegations to where they stay; return them by id."""
    found = sorted((data / "delegations").glob(f"*/{session}/*.md"))
    if found:
        kept.mkdir(parents=True, exist_ok=True)
    return {file.stem: Path(shutil.copy2(file, kept)) for file in found}


def checks(
    timeline: Timeline,
    expected: int,
    transcript: Sequence[StoredMessage],
    artifacts: dict[str, Path],
) -> list[Check]:
    """Return what was promised, each with what was really seen."""
    agents = list(timeline.agents.values())
    return [
        _delegated(agents, expected),
        _kept_working(timeline),
        _endings(agents),
        _exactly_once(agents, transcript),
        _all_complete(agents),
        Check(
            set(artifacts) == set(timeline.agents) and timeline.reads > 0,
            f"{len(artifacts)} artifacts on disk, {timeline.reads} read by the supervisor",
        ),
    ]


def _delegated(agents: Sequence[Agent], expected: int) -> Check:
    took = ", ".join(f"{agent.call_ms:.0f}" for agent in agents)
    count = len(agents)
    said = f"{count} tasks delegated; their ids came back after {took} ms, just after the start"
    return Check(count == expected, said if agents else "nothing was delegated")


def _kept_working(timeline: Timeline) -> Check:
    calls = counted(timeline.own_steps, "tool call")
    said = f"the supervisor was never blocked: {calls} of its own meanwhile"
    return Check(timeline.own_steps > 0, said)


def _endings(agents: Sequence[Agent]) -> Check:
    said = [agent.notice.status for agent in agents if agent.notice]
    counts = ", ".join(f"{said.count(status)} {status}" for status in dict.fromkeys(said))
    # What a session did and what its notice says come from different sources.
    true = all(a.notice and (a.notice.status == "failed") == bool(a.error) for a in agents)
    return Check(true and bool(agents), f"{counts or 'no endings'}: each told as it was")


def _exactly_once(agents: Sequence[Agent], transcript: Sequence[StoredMessage]) -> Check:
    text = "\n".join(message.text for message in transcript if message.info.role == "user")
    counts = [text.count(f"<task-id>{agent.id}</task-id>") for agent in agents]
    told = f"{sum(counts)} notices in the supervisor's transcript"
    once = bool(counts) and set(counts) == {1}
    return Check(once, f"{told}, {'each exactly once' if once else f'as often as {counts}'}")


def _all_complete(agents: Sequence[Agent]) -> Check:
    last = [agent.id for agent in agents if agent.notice and agent.notice.all_complete]
    said = f"the last one said all-complete ({last[0]})" if last else "none said all-complete"
    return Check(len(last) == 1, said)


def excerpt(artifact: Path, head: int = 7, body: int = 4) -> list[str]:
    """Return the first lines of an artifact's front matter and of its result."""
    matter, _, result = artifact.read_text("utf-8").removeprefix("---\n").partition("\n---\n")
    first = ["---", *matter.split("\n")[:head], "…", "---", ""]
    return first + result.strip("\n").split("\n")[:body] + ["…"]
