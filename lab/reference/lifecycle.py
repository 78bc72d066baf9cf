"""Pictures drawn from tables: the lifecycle of a delegation, and the phases of its run."""

from __future__ import annotations

from background_agents.domain.status import TERMINAL, TRANSITIONS, Status
from background_agents.service.running.phase import FOLLOWED, TABLE, Phase, Sign


def statuses() -> str:
    """Draw the lifecycle as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", f"    [*] --> {Status.REGISTERED}: Registered"]
    for status, moves in TRANSITIONS.items():
        for kind, to in moves.items():
            if to is not status:
                lines.append(f"    {status} --> {to}: {kind.__name__}")
    lines += [f"    {status} --> [*]" for status in Status if status in TERMINAL]
    return "\n".join(lines)


def phases() -> str:
    """Draw which phases follow each other as a Mermaid state diagram, for the documentation."""
    arrows: dict[tuple[str, str], dict[str, None]] = {}
    for phase, moves in TABLE.items():
        for sign, move in moves.items():
            # Any run may be let go of; only after the ending is that its course.
            if move.phase is not phase and (sign is not Sign.LEFT or phase is Phase.ENDING):
                leaves = phase in FOLLOWED and move.phase not in FOLLOWED
                arrow = ("followed" if leaves else str(phase), str(move.phase))
                arrows.setdefault(arrow, {})[sign.name.lower()] = None
    begun = [f"    [*] --> {Phase.QUEUED}", f"    [*] --> {Phase.UNSURE}: taken over"]
    lines = ["stateDiagram-v2", *begun, "    state followed {"]
    lines += [f"        {phase}" for phase in TABLE if phase in FOLLOWED] + ["    }"]
    lines += [f"    {one} --> {to}: {', '.join(signs)}" for (one, to), signs in arrows.items()]
    return "\n".join([*lines, f"    {Phase.OVER} --> [*]"])
