"""What each line of OpenCode has itself, to compare with: subagents, and launches over the API."""

from __future__ import annotations

from lab.harness.client import OpenCodeClient
from lab.harness.dialect import dialect
from lab.harness.line import Line

LAUNCH = {
    Line.ONE: "`POST /session` + `prompt_async`",
    Line.TWO: "`POST /api/session` + `prompt`",
}
"""The requests of a bare launch."""


def tool(line: Line) -> str:
    """Return what it calls its own tool."""
    return dialect(line).tool("task")


def shown(line: Line) -> str:
    """Return how its own background subagents are called in tables."""
    return f"native `{tool(line)}(background)`"


def task(prompt: str) -> dict[str, object]:
    """Return the call with which a model starts one; the model server says it as the line does."""
    about = {"description": "Look it up", "subagent_type": "general", "background": True}
    return {"call": "task", "args": {**about, "prompt": prompt}}


def delegate(prompt: str) -> dict[str, object]:
    """Return the call with which a model starts one of ours."""
    return {"call": "delegate", "args": {"prompt": prompt, "agent": "general"}}


async def launch(client: OpenCodeClient, line: Line, prompt: str, parent: str | None = None) -> str:
    """Begin a child over the API, with the fewest requests that do; return its session."""
    if line is Line.ONE:
        session = await client.create_session(parent=parent)
        await client.prompt(session, prompt, agent="general")
    else:  # where each of these would be one more request, or is not known
        session = await client.create_session(None)
        await client.prompt(session, prompt)
    return session
