"""What models are told about delegations besides their tools' answers.

Rules for supervisors and for background agents, what a compaction carries over, and why the
runtime's own tool for running agents is refused. Pure functions; who is told what is decided in
``guidance``. These texts stand in every request, so each word has its price.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from background_agents.domain.delegation import Delegation
from background_agents.domain.isolation import Isolated
from background_agents.domain.text import AGENT_CHARS, TITLE_CHARS, escape, fitting, one_line
from background_agents.ports.storage import Line
from background_agents.views.model import to_answer

COMPACTION_CHARS = 2_000
"""About 500 tokens: what a summary may cost that is made to save tokens."""

_SUPERVISOR = """\
# Background delegations
- Hand self-contained work to a background agent with delegate(prompt, agent) and go on with \
other work. It sees nothing of this conversation: put all it needs into the prompt.
{waiting}
- Before you rely on a result, read it with delegation_read. Do not redo delegated work.
- A delegation-request says what is asked and who answers: you, by delegation_answer, or your \
human, whom you then ask. A child-notification tells you something; delegation_steer if needed.
- To change what runs, steer it; do not stop it and start anew."""
"""The tags of notices stand here without brackets: nothing but a notice opens one."""

_WOKEN = """\
- Do not poll with delegation_status, delegation_list or delegation_wait: a hidden \
task-notification tells you of each end. With nothing else to do, end your turn; you are woken."""

_NOT_WOKEN = """\
- This OpenCode ends with your turn, and cuts off what still runs: before you end it, call \
delegation_wait until nothing runs."""

CHILD = """\
# You work in the background
- A supervising agent gave you this task. Nobody reads along, and you cannot ask the user.
- Your last message alone is the result: make it complete and understandable by itself.
- If you are blocked or need a decision, call notify_parent(message) and go on meanwhile with \
what you can do.
- Instructions may arrive while you work; they take precedence over the task."""
"""For background agents and whatever works below them."""


DELEGATING_CHILD = """\
- You may hand parts of it on with delegate(prompt, agent): put all that the agent needs into the \
prompt. Do not poll and do not wait in a tool: end your turn, and a hidden task-notification wakes \
you at each end; then delegation_read(id).
- Your work is over at the first turn that you end while nothing of yours runs, and what still \
runs when you are stopped ends with you. What needs a human you pass on with notify_parent."""
"""Follows on ``CHILD`` where background agents may delegate as well."""


_APART = """\
# You work in a tree of your own
- Your folder is {directory}, a copy of {main}{base} as it was when you began, with all that was \
not committed.
- {main} is off limits: write nothing there, neither by absolute paths nor by `cd`, `git -C` or a \
script. What you change is taken over from your folder, if your supervisor or its human wants it; \
whether you commit it makes no difference.
- Ignored files are absent, such as installed packages, build results and local settings{copied}; \
install here what you need.{left_out}"""

PATHS_TOLD = 10
"""Of copied or missing files, in an agent's prompt."""


def isolated(tree: Isolated) -> str:
    """Return what an agent is told that works in a copy of the project."""
    on = f" on {tree.branch}" if tree.branch else ""
    return _APART.format(
        directory=tree.directory,
        main=tree.main,
        base=f" ({tree.head[:10]}{on})" if tree.head else "",
        copied=f", but for {_paths(tree.copied)}" if tree.copied else "",
        left_out=f"\n- Also absent: {_paths(tree.left_out)}." if tree.left_out else "",
    )


def _paths(names: Sequence[str]) -> str:
    more = f" and {len(names) - PATHS_TOLD:,} more" if len(names) > PATHS_TOLD else ""
    return ", ".join(one_line(one, TITLE_CHARS) for one in names[:PATHS_TOLD]) + more


class TaskPolicy(NamedTuple):
    """What becomes of the runtime's own tool for running agents."""

    strict: bool
    """Only read-only agents may be delegated to."""
    allowed: bool
    """The tool is left alone."""
    native: str = "task"
    """Its name."""


def supervisor(policy: TaskPolicy, *, ends_with_turn: bool = False) -> str:
    """Return the rules for a session that may delegate.

    ``ends_with_turn``: its runtime ends with the turn, so that nobody can be woken.
    """
    common = _SUPERVISOR.format(waiting=_NOT_WOKEN if ends_with_turn else _WOKEN)
    sentence = _about_task(policy)
    return f"{common}\n- {sentence}" if sentence else common


def _about_task(policy: TaskPolicy) -> str | None:
    if policy.strict and policy.allowed:
        return (
            f"Only read-only agents may be delegated to; for others use the {policy.native} tool."
        )
    if policy.strict:
        return (
            "Read-only agents are for delegate, agents that edit or run commands for the "
            f"{policy.native} tool; the other way round is refused."
        )
    return None if policy.allowed else f"The {policy.native} tool is refused; delegate instead."


def refused_task(agent: str, policy: TaskPolicy) -> str:
    """Say why the native tool does not run an agent, and what to do instead."""
    why = "read-only agents run in the background here" if policy.strict else "it would block you"
    name = one_line(agent, AGENT_CHARS)
    return (
        f"The {policy.native} tool is refused for {name}, since {why}: call "
        f'delegate(prompt, agent="{name}") with the whole task in the prompt, and go on; '
        "you are notified when it ends."
    )


def carried_over(active: Sequence[Delegation], unread: Sequence[Line]) -> str | None:
    """Return what the summary of a conversation must keep; None if there is nothing."""
    told = [_active(one) for one in active]
    told += [f'{_head(one)}: delegation_read("{one.id}")' for one in unread]
    if not told:
        return None
    head = (
        "Background delegations of this session. Keep each id, its state and how to get its "
        "result in the summary; what runs goes on, and a notification tells of its end."
    )
    shown = fitting(told, COMPACTION_CHARS - len(head) - len(_more(len(told))) - 1)
    left_out = len(told) - len(shown)
    return "\n".join([head, *shown, *([_more(left_out)] if left_out else [])])


def _active(one: Delegation) -> str:
    if not one.requests:
        return f'{_head(one)}: once it has ended, delegation_read("{one.id}")'
    ask = one.requests[0].ask
    return f"{_head(one)}: asks for {_safe(ask.text, TITLE_CHARS)}: {to_answer(one.id, ask)}"


def _head(one: Delegation | Line) -> str:
    state = f"{one.status}, unread" if one.is_unread else one.status
    return f"- {one.id} [{state}] {_safe(one.title, TITLE_CHARS)} ({_safe(one.agent, AGENT_CHARS)})"


def _more(count: int) -> str:
    return f"- and {count:,} more: delegation_list()"


def _safe(text: str, limit: int) -> str:
    return escape(one_line(text, limit))
