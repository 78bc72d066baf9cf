"""The read model of numbers for people: a few sentences, and a line for each group."""

from __future__ import annotations

from datetime import datetime

from background_agents.domain.statistics import Summary
from background_agents.domain.status import Status
from background_agents.domain.text import cost, counted, one_line, span

_KEY_CHARS = 40

HEADS = ("delegations", "completed", "median", "9 of 10", "tokens", "cost")
"""Above the columns behind the key."""


def sentences(whole: Summary, since: datetime | None) -> list[str]:
    """Say what the numbers of all delegations are."""
    when = f" since {since.astimezone():%Y-%m-%d %H:%M}" if since else ""
    states = ", ".join(
        f"{whole.states[state]:,} {state.value}" for state in Status if state in whole.states
    )
    if not whole.count:
        return [f"No delegations{when}."]
    said = [f"{counted(whole.count, 'delegation')}{when}: {states}."]
    if whole.success_rate is not None:
        said.append(f"Of those that have ended {_percent(whole.success_rate)} completed.")
    if whole.runs_s:
        said.append(f"They ran {_span(whole.median_s)} (median), nine of ten up to "
                    f"{_span(whole.p90_s)}.")  # fmt: skip
    said.append(
        f"They used {whole.tokens:,} tokens, {_cost(whole)} and "
        f"{counted(whole.tool_calls, 'tool call')}."
    )
    if whole.untimed:
        said.append(f"Of {counted(whole.untimed, 'delegation')} it was not noted yet where the "
                    "time went.")  # fmt: skip
    return said


def row(group: Summary) -> tuple[str, ...]:
    """Return what is shown of a group, its key first; how many there are is drawn, too."""
    return (
        one_line(group.key, _KEY_CHARS),
        f"{group.count:,}",
        _percent(group.success_rate),
        _span(group.median_s),
        _span(group.p90_s),
        f"{group.tokens:,}",
        _cost(group).removeprefix("price "),
    )


SPENT = ("in all", "model", "tools", "waiting", "queue")
"""Above the columns behind the key that say where the time went; waiting is for people."""


def spent_row(group: Summary) -> tuple[str, ...]:
    """Return where the time of a group went, its key first."""
    whole = sum(group.spent)
    shares = (f"{round(one / whole * 100)}%" if whole else "-" for one in group.spent)
    return one_line(group.key, _KEY_CHARS), _span(whole or None), *shares


def _cost(group: Summary) -> str:
    """Return a cost in cents, as sums are, where there is a price."""
    if group.unpriced_turns and not group.cost_usd:
        return cost(0.0, group.unpriced_turns)
    return f"${group.cost_usd:,.2f}{'+' if group.unpriced_turns else ''}"


def bar(share: float, width: int, *, blocks: bool) -> str:
    """Draw a share of ``width`` columns, in eighths where there are ``blocks``."""
    if not blocks:
        return "#" * max(round(share * width), 1)
    eighths = max(round(share * width * 8), 1)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + " ▏▎▍▌▋▊▉"[rest].strip()


def _percent(share: float | None) -> str:
    # Rounded down, so that 100 % means all.
    return "-" if share is None else f"{int(share * 100)}%"


def _span(seconds: float | None) -> str:
    return "-" if seconds is None else span(seconds)
