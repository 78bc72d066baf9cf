"""What is said of limits: to the agent that nears one, to its supervisor, in a status."""

from __future__ import annotations

from background_agents.domain.events import Usage
from background_agents.domain.limits import Limits, Reached, Share
from background_agents.domain.loops import ENDED_AT, Loop
from background_agents.domain.text import TITLE_CHARS, counted, money, one_line

ENDING = "This task is being ended; no tool runs any more."
"""What a tool of a run that ends answers."""


def finish_now(share: Share) -> str:
    """Tell an agent that it nears its limit."""
    return (
        f"You have used {share.used:.0%} of your {share.what}: finish now with what you have. At "
        "100% your tools are refused, and you have one more answer."
    )


def refused(reached: Reached) -> str:
    """Tell an agent why its tool was refused."""
    return (
        f"Refused: this task has reached its {reached.what}. No tool runs any more. Answer now "
        "with the result that you have, and say what is missing; it is your last answer."
    )


def stopped(reached: Reached) -> str:
    """Say in one line why a run was ended that has reached its limit."""
    return f"Stopped at its {reached.what}."


def do_something_else(loop: Loop) -> str:
    """Tell an agent that it goes in circles."""
    return (
        f"You have called {_name(loop)} {loop.times} times in a row with the same arguments, and "
        "got the same answer each time. Do something else, or end with what you have; after "
        f"{ENDED_AT} equal calls this task is ended."
    )


def it_loops(loop: Loop) -> str:
    """Tell a supervisor that its agent goes in circles."""
    about = one_line(loop.call.title, TITLE_CHARS)
    return (
        f"(Loop detector) It has made the same call {loop.times} times in a row, with the same "
        f"answer: {_name(loop)}{f' ({about})' if about else ''}. It was told to do something else; "
        f"after {ENDED_AT} it is stopped."
    )


def looped(loop: Loop) -> str:
    """Say in one line why a run was ended that went in circles."""
    return f"It repeated the same call {loop.times} times ({_name(loop)})."


def _name(loop: Loop) -> str:
    return one_line(loop.call.tool, TITLE_CHARS)


def most(limits: Limits) -> str:
    """Say what may be used; empty where nothing is limited."""
    parts = []
    if limits.max_turns:
        parts.append(counted(limits.max_turns, "turn"))
    if limits.max_tokens:
        parts.append(counted(limits.max_tokens, "token"))
    if limits.max_cost_usd:
        parts.append(money(limits.max_cost_usd))
    return ", ".join(parts)


def used(limits: Limits, usage: Usage) -> str:
    """Say how much of each limit is used; empty where nothing is limited."""
    parts = []
    if limits.max_turns:
        parts.append(f"{usage.turns:,} of {counted(limits.max_turns, 'turn')}")
    if limits.max_tokens:
        parts.append(f"{usage.counted_tokens:,} of {counted(limits.max_tokens, 'token')}")
    if limits.max_cost_usd:
        unknown = f" ({unpriced(usage)})" if usage.unpriced_turns else ""
        parts.append(f"{money(usage.cost_usd)} of {money(limits.max_cost_usd)}{unknown}")
    return ", ".join(parts)


def unpriced(usage: Usage) -> str:
    """Say of how much of a usage the price is not known; empty if it all is."""
    if not usage.unpriced_turns:
        return ""
    if usage.cost_usd:
        return f"price of {counted(usage.unpriced_turns, 'turn')} unknown"
    return "price unknown"


def not_kept(limits: Limits, usage: Usage) -> str:
    """Say that a limit of cost could not be kept; empty where it could."""
    if not limits.max_cost_usd or not usage.unpriced_turns:
        return ""
    return f"Its limit of {money(limits.max_cost_usd)} could not be kept: {unpriced(usage)}."
