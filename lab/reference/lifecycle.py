"""The picture of the lifecycle, drawn from its table."""

from __future__ import annotations

from background_agents.domain.status import TERMINAL, TRANSITIONS, Status


def mermaid() -> str:
    """Draw the lifecycle as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", f"    [*] --> {Status.REGISTERED}: Registered"]
    for status, moves in TRANSITIONS.items():
        for kind, to in moves.items():
            if to is not status:
                lines.append(f"    {status} --> {to}: {kind.__name__}")
    lines += [f"    {status} --> [*]" for status in Status if status in TERMINAL]
    return "\n".join(lines)
