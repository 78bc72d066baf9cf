"""What a supervisor's model is told of delegation stays small: it is paid for at each request."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.bench.tax import LIMIT_TOKENS, RULES, context_tax, table
from lab.harness.line import Line

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.only("2", why="on OpenCode 1 test_delegation_hooks counts the same words"),
]


async def test_rules_and_tools_cost_little(tmp_path: Path, line: Line) -> None:
    """The context tax, tokens of rules and tool definitions, stays within its limit."""
    tax = await context_tax(tmp_path, line)

    assert {RULES, "delegate", "delegation_read", "delegation_status"} <= set(tax.added_chars)
    assert min(tax.added_chars.values()) > 0, table(tax)
    assert tax.tokens <= LIMIT_TOKENS, table(tax)
