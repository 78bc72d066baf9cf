"""The page about settings, made of ``config``: names, defaults, meanings and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields

from background_agents import config
from background_agents.config.example import example, meanings
from background_agents.config.kinds import FILE_ONLY, KINDS
from background_agents.config.settings import AnswerRule
from background_agents.config.sources import defaults
from lab.reference import markdown as md


def page() -> str:
    """Return the page."""
    told, usual = meanings(), defaults()
    variables = [
        [
            md.literal(config.variable(name)),
            md.literal(_written(usual[name])),
            told[name],
            kind.allowed,
        ]
        for name, kind in KINDS.items()
        if name not in FILE_ONLY
    ]
    tables = [[md.literal(name), told[name], KINDS[name].allowed] for name in sorted(FILE_ONLY)]
    return md.page(
        "Configuration",
        _HEAD,
        md.table(["variable", "default", "meaning", "allowed"], variables),
        _FILE,
        md.table(["name", "meaning", "allowed"], tables),
        _RULES,
        md.table(["key", "default", "meaning"], _rule_keys()),
        _EXAMPLE,
        md.code(example().rstrip(), "toml"),
        _MORE,
    )


def _written(usual: object) -> str:
    """Return a default as a variable says it."""
    if isinstance(usual, bool):
        return str(int(usual))
    return f"{usual:g}" if isinstance(usual, float) else str(usual)


def _rule_keys() -> Iterator[list[str]]:
    told = md.told_of_members(AnswerRule)
    for one in fields(AnswerRule):
        usual = "" if one.default is MISSING else md.literal(one.default)
        meaning = told.get(one.name, "The name of the delegation's agent.")
        yield [md.literal(one.name), usual, meaning]


_HEAD = """\
Settings come from the environment of OpenCode and from the file
`~/.config/background-agents/config.toml` (under `$XDG_CONFIG_HOME` if that is set); the environment
wins. A value that cannot be meant is an error that names it and says what is allowed; nothing is
served while there is one. `background-agents config` shows what holds and where it comes from.

## Variables
"""

_FILE = """\
## The file

The same names, in lower case and without the prefix, stand under `[background-agents]`:

```toml
[background-agents]
timeout_minutes = 30
max_concurrent = 4
```

Tables and lists stand there alone:
"""

_RULES = """\
## Rules for permissions

Each `[[background-agents.answers]]` is a rule. Of several that fit, the last one counts; `*` and
`?` are wildcards; what no rule fits is asked.
"""

_EXAMPLE = """\
A pattern is matched against the whole command: `git log*` also lets `git log > file` write.

```toml
[background-agents.max_concurrent_per_provider]
anthropic = 4

[background-agents.max_concurrent_per_model]
"anthropic/claude-opus-4-5" = 1

[[background-agents.answers]]
permission = "bash"
pattern = "git status"
action = "allow"

[[background-agents.answers]]
permission = "external_directory"
action = "deny"
```

## A file to begin with

`background-agents config --init` writes it where there is none:
"""

_MORE = """\
If OpenCode's own configuration names a `small_model`, it writes a better title and summary after
the end; no notice waits for it.
"""
