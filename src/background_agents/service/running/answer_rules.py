"""What is answered without asking anybody, by the rules in the configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from background_agents.config import AnswerRule
from background_agents.domain.asking import REJECT, Ask, Reply

QUESTION = "question"
"""What rules call a question; it can be refused, but no rule knows its answer."""

SAME = (frozenset({"bash", "shell"}), frozenset({"task", "subagent"}))
"""Permissions that go by two names: rules that were written for one version of a runtime hold for
the next one."""

REFUSED_BY_RULE = "A rule of the user's configuration refuses it; find a way without it."


def decide(rules: Sequence[AnswerRule], agent: str, ask: Ask) -> Reply | None:
    """Return the answer that the rules give, or None when somebody is to be asked.

    A request for several patterns is granted only if each of them is, and refused if one is.
    """
    subjects = ask.patterns or tuple(question.text for question in ask.questions) or ("",)
    actions = {_action(rules, agent, ask.permission or QUESTION, one) for one in subjects}
    if "deny" in actions:
        return Reply(word=REJECT, reason=REFUSED_BY_RULE)
    if actions == {"allow"} and not ask.questions:
        return Reply(word="once")
    return None


def _action(rules: Sequence[AnswerRule], agent: str, permission: str, subject: str) -> str:
    names = next((names for names in SAME if permission in names), {permission})
    for rule in reversed(rules):
        if (
            _fits(rule.agent, agent)
            and any(_fits(rule.permission, name) for name in names)
            and _fits(rule.pattern, subject)
        ):
            return rule.action
    return "ask"


def _fits(pattern: str, text: str) -> bool:
    return _matcher(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> re.Pattern[str]:
    """Compile a pattern in which only ``*`` and ``?`` are special.

    Each ``*`` but the last takes the nearest match for good: that finds every match there is, and
    no command that an agent thinks up takes more than time in proportion.
    """
    first, *rest = [re.escape(one).replace(r"\?", ".") for one in re.split(r"\*+", pattern)]
    if not rest:
        return re.compile(first, re.DOTALL)
    between = "".join(f"(?>.*?{one})" for one in rest[:-1])
    return re.compile(f"{first}{between}.*{rest[-1]}", re.DOTALL)
