"""The page about the Python API, made of what ``background_agents`` exports and its docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from textwrap import dedent

import msgspec

import background_agents
from background_agents import AsyncClient, AsyncHandle, Client, Handle, errors
from background_agents.domain.order import Order
from lab.reference import markdown as md

SHEETS = re.compile(r"\b(ActiveSheet|EventSheet|PeekSheet|RequestSheet|Sheet)\b")
"""Which the page about JSON tells of."""


MET = (
    errors.InvalidRequest,
    errors.NoSuchRecord,
    errors.AmbiguousId,
    errors.HasEnded,
    errors.NoResult,
    errors.NotServed,
    errors.OwnerGone,
    errors.OwnerElsewhere,
    errors.StoreUnavailable,
)
"""Errors that are raised in a program outside of the service."""


def page() -> str:
    """Return the page."""
    return md.page(
        "Python",
        _HEAD,
        "## Connecting",
        *(_function(one) for one in (background_agents.connect, background_agents.connect_sync)),
        "## A client",
        _CLIENT,
        *_methods(Client, AsyncClient),
        "## A handle",
        _HANDLE,
        *_methods(Handle, AsyncHandle),
        "## What is returned",
        _SHEETS,
        "## Errors",
        _ERRORS,
        md.table(["error, and what it is one of", "what happened"], _errors()),
        "They are part of one tree; the rest is met within the service alone:",
        md.code(dedent((errors.__doc__ or "").split("::\n\n")[1].split("\n\n")[0])),
    )


def _methods(synchronous: type, asynchronous: type) -> Iterator[str]:
    for name in vars(asynchronous):
        method = getattr(synchronous, name, None)
        if not name.startswith("_") and method is not None:
            yield _function(method)


def _function(function: Callable[..., object]) -> str:
    name, told = function.__name__, _sections(md.paragraphs(function.__doc__))
    taken = inspect.signature(Order if name == "delegate" else function)
    if name == "delegate":
        told += "\n\n" + md.table(["argument", "what a model is told of it"], _order())
    call = md.literal(f"{name}({', '.join(_arguments(taken))})")
    returns = str(inspect.signature(function).return_annotation)
    gives = "" if returns == "None" else f" → {_linked(returns)}"
    return f"### {name}\n\n{call}{gives}\n\n{told}"


def _arguments(signature: inspect.Signature) -> Iterator[str]:
    is_keyword = False
    for name, one in signature.parameters.items():
        if one.kind is one.KEYWORD_ONLY and not is_keyword:
            is_keyword = True
            yield "*"
        if name != "self":
            yield name if one.default is one.empty else f"{name}={one.default!r}"


def _order() -> Iterator[list[str]]:
    properties = msgspec.json.schema(Order)["$defs"]["Order"]["properties"]
    for name, about in properties.items():
        yield [md.literal(name), str(about.get("description", ""))]


def _linked(returns: str) -> str:
    """Return a type with links to what is told of it; that of the asynchronous face is alike."""
    plain = returns.replace("Sequence[", "sequence of ").replace("Iterator[", "iterator of ")
    plain = plain.replace("]", "").replace(" | ", " or ")
    return SHEETS.sub(lambda found: f"[{found[0]}](json.md#{found[0].lower()})", plain)


def _sections(docstring: str) -> str:
    """Return Google's sections of a docstring as lists."""
    text = re.sub(r"^(Args|Raises):$", r"**\1**\n", docstring, flags=re.M)
    text = re.sub(r"\n {4,}(?! *\w+:|\w+(?:, \w+)*:)\s*", " ", text)
    return (
        re.sub(r"^ {4}(\w+(?:, \w+)*):", r"- `\1`:", text, flags=re.M)
        .replace("**Args**", "Arguments:")
        .replace("**Raises**", "Raises:")
    )


def _errors() -> Iterator[list[str]]:
    for one in MET:
        name, above = one.__name__, one.__bases__[0].__name__
        yield [f"{md.literal(name)} ({md.literal(above)})", md.paragraphs(one.__doc__)]


_HEAD = """\
What a program may do with the delegations of a project, whoever has made them: the same as the
commands, which stand on it. [Use from Python](../how-to/use-from-python.md) shows it at work.
Everything is imported from `background_agents`; what is not on this page is nobody's to use.

There are two faces. `connect` is for programs with an event loop: each operation is awaited, each
iteration is `async for`, and cancelling a task ends what it waited for. `connect_sync` is for
those without. They can do the same, under the same names.

<!-- faces.py -->
```python
import asyncio

import background_agents


async def main() -> None:
    async with background_agents.connect() as agents:
        delegation = await agents.delegate("Describe the oldest pear tree.", "general")
        async for event in delegation:
            print(event.event)
        print(await delegation.result())


asyncio.run(main())

with background_agents.connect_sync() as agents:
    for sheet in agents.search("pear"):
        print(sheet.id, sheet.state, agents.get(sheet.id).result())
```

```console
$ python3 faces.py
Registered
Launched
Completed
NoticeQueued
It stands behind the barn.
quiet-amber-heron completed It stands behind the barn.
```

**It survives the service.** Each call finds the process anew that runs a delegation. Where that
has died, a call goes on with whoever takes over, be it that it was begun before or after: a wait,
an iteration, whoever reads along get all of what comes, once. That takes a second where OpenCode
lives on. Where nobody has taken over for `takeover_s` seconds the call raises `NotServed`; the
delegation stays as it is stored. Only what changes something is not sent again once it was sent:
whether it was done is then not known, and `status` tells.
"""

_CLIENT = """\
`Client` and `AsyncClient`: the delegations of one project. Any number of threads, or tasks, may
use one. `close()`, which leaving the block calls, ends what still is waited for; what runs goes
on.
"""

_HANDLE = """\
`Handle` and `AsyncHandle`: one delegation, by its `id`. Iterating over it yields what `events`
does.
"""

_SHEETS = """\
The same as JSON, field by field: [Sheet](json.md#sheet), [ActiveSheet](json.md#activesheet),
[PeekSheet](json.md#peeksheet), [EventSheet](json.md#eventsheet). Times are `datetime` with UTC,
durations seconds. An `Answered` has `asked`, the words that were answered, and `delegation`, the
[Sheet](json.md#sheet) as it then is. What agents wrote stands there as they wrote it.
"""

_ERRORS = """\
They are classes of `background_agents.errors`, and all that is raised on purpose is a
`DelegationError`. What a service refuses arrives as an `InvalidRequest` with its sentence, which
says what happened, with which value, and what to do. These are the ones that a program meets:
"""
