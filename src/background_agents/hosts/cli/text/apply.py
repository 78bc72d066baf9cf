"""What an apply would write, and why something is left: for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from background_agents.domain.isolation import Plan
from background_agents.domain.text import LINE_CHARS, counted, one_line
from background_agents.domain.undoing import Left, Reason, Step

_WHY = {
    Reason.CONFLICT: "both have changed it",
    Reason.RECREATED: "a file that git ignores is there",
    Reason.MOVED: "it was changed just now; try again",
}
"""What else keeps a file from being applied says it itself."""


def lines(plan: Plan) -> Iterator[str]:
    """Yield what would be done, a line for each file."""
    if plan.left:
        yield f"{plan.name} cannot be applied; nothing is written:"
        yield from map(_left, plan.left)
        return
    if not plan.steps:
        yield f"The project has all of {plan.name} already."
        return
    yield f"{plan.name} would write {counted(len(plan.steps), 'file')}:"
    yield from map(_step, plan.steps)


def _step(step: Step) -> str:
    mark = "M" if step.now.is_there and step.then.is_there else "A" if step.then.is_there else "D"
    return f"  {mark} {one_line(step.path, LINE_CHARS)}"


def _left(left: Left) -> str:
    return f"  {one_line(left.path, LINE_CHARS)}: {_WHY.get(left.reason) or left.detail}"
