"""The context tax: what the plugin adds to each request of a supervisor's model.

The same prompt goes to one OpenCode home without the plugin and with it; what is more in
the request, as the model server saw it, is the tax. Knows nothing of what the words say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lab.harness.line import Line
from lab.harness.opencode import OpenCode, running_opencode
from lab.model_server import ModelRequest, ModelServer, script

LIMIT_TOKENS = 1_200
"""What one request may cost a user who never delegates."""

CHARS_PER_TOKEN = 4.55
"""Exactly this text had 4,305 characters and 938 tokens, 4.59 each, by the encoding o200k_base
(npm ``gpt-tokenizer`` 4.0.0); a little less is taken, so that other words hide no tokens."""

RULES = "system prompt"

TURNS = 2
"""OpenCode's first request does not wait long for the plugin's rules; a later one has them."""


class Tax(msgspec.Struct):
    """What each part adds, in characters: the system prompt, and each tool by its name."""

    added_chars: dict[str, int]

    @property
    def tokens(self) -> int:
        return tokens(sum(self.added_chars.values()))

    @property
    def reached(self) -> bool:
        return self.tokens <= LIMIT_TOKENS


def tokens(chars: int) -> int:
    """Return how many tokens so many characters of our text are, rounded up."""
    return math.ceil(chars / CHARS_PER_TOKEN)


async def context_tax(root: Path, line: Line) -> Tax:
    """Measure on a new home under ``root``."""
    async with (
        ModelServer() as model,
        running_opencode(root, model.base_url, line, plugin=False) as opencode,
    ):
        without = _parts(await _request(model, opencode))
        await opencode.end()
        opencode.home.install_plugin()
        await opencode.start()
        with_plugin = _parts(await _request(model, opencode))
    names = list(dict.fromkeys([*with_plugin, *without]))
    added = {name: with_plugin.get(name, 0) - without.get(name, 0) for name in names}
    return Tax({name: chars for name, chars in added.items() if chars})


async def _request(model: ModelServer, opencode: OpenCode) -> ModelRequest:
    """Return the newest request of a session that has said a few things."""
    async with opencode.client() as client:
        session = await client.create_session()
        for _ in range(TURNS):
            await client.run(session, "Say it. " + script({"say": "It."}))
    # What offers no tools makes titles.
    return [request for request in model.requests if request.tools][-1]


def _parts(request: ModelRequest) -> Mapping[str, int]:
    """Return the characters of the system prompt, and of each tool's definition as JSON."""
    system = "\n".join(one.text for one in request.messages if one.role == "system")
    tools = {
        tool.function.name: len(msgspec.json.encode(tool.function).decode())
        for tool in request.tools
    }
    return {RULES: len(system), **tools}


def table(tax: Tax) -> str:
    """Return the tax as a table, part by part."""
    lines = [
        "| added to one request of a supervisor | characters | tokens | to reach | reached |",
        "| --- | ---: | ---: | --- | --- |",
    ]
    for name, chars in tax.added_chars.items():
        shown = name if name == RULES else f"`{name}`"
        lines.append(f"| {shown} | {chars:,} | {tokens(chars)} |  |  |")
    reached = "yes" if tax.reached else "**no**"
    total = sum(tax.added_chars.values())
    lines.append(f"| all | {total:,} | {tax.tokens:,} | ≤ {LIMIT_TOKENS:,} tokens | {reached} |")
    return "\n".join(lines)
