"""What is said over the control socket: methods, their parameters and their answers.

JSON-RPC 2.0, one frame per line, as on the bridge. What is shown of delegations comes from
``views.json``; nothing here knows sockets or who asks.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from background_agents.domain.annotation import Annotation
from background_agents.domain.order import Order
from background_agents.views.json import RequestSheet, Sheet
from background_agents.views.live import BEGINNING, Position

ABOUT, LIVE, PEEK, FOLLOW, CHANGE = "about", "live", "peek", "follow", "change"
STEER, ANSWER, STOP, STOP_ALL = "steer", "answer", "stop", "stop_all"
EXTEND, ANNOTATE, TRANSCRIPT = "extend", "annotate", "transcript"
WAIT, DELEGATE = "wait", "delegate"
WATCH, ENTRIES, READ = "watch", "entries", "read"

WROTE, ASKS, SHOWN = "wrote", "asks", "shown"
"""Notifications to the client: of ``follow``, of ``wait`` and of ``watch``."""

PANEL = "panel"
"""What a call says in ``surface`` that a person makes from the panel in a host's own screen."""

REFUSED = -32001
"""Bad input: nothing was changed, and the message says what to do. As on the bridge."""


NOT_HERE = -32002
"""Another service may be able to do it."""

LONGEST_S = 100 * 365 * 86_400.0
"""Of a wait: a century, beyond which times cannot be reckoned with."""


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A project directory that a service has open."""

    project: str
    directory: str
    base_url: str
    """Where its OpenCode says it listens; nothing may be there."""


class Failing(msgspec.Struct, frozen=True, kw_only=True):
    """Periodic work of a service that has failed at every attempt for a while."""

    project: str
    name: str
    since: datetime
    error: str
    """Of the last attempt."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """A service process."""

    version: str
    pid: int
    host_pid: int
    """The OpenCode that it belongs to."""
    active: int
    """Delegations that it runs now."""
    served: tuple[Served, ...]
    failing: tuple[Failing, ...] = ()
    """What it does every so often and cannot do just now."""


class Nothing(msgspec.Struct, frozen=True):
    """No parameters."""


class Acting(msgspec.Struct, frozen=True, kw_only=True):
    """What may change something."""

    surface: str = ""
    """Where a person does it; a model is whoever its process is."""


class Which(Acting, frozen=True, kw_only=True):
    """One delegation; ids are unique within a project."""

    project: str
    id: str


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """A session of a directory that the service has open; without one all of its project."""

    directory: str
    session: str = ""


class Watched(Looked, frozen=True, kw_only=True):
    """One that is watched, until the same connection watches another one."""

    columns: Annotated[int, Meta(ge=20, le=500)] = 36
    most: Annotated[int, Meta(ge=1, le=100)] = 8
    """Delegations with lines of their own."""


class From(Which, frozen=True, kw_only=True):
    """A result, from a character on."""

    offset: int = 0


class Followed(Which, frozen=True, kw_only=True):
    """A delegation that is read along, from where somebody has come to."""

    seen: Position = BEGINNING
    from_prompt: bool = False
    """What was said to it first, and all since; ``seen`` counts for nothing then."""


class Known(Which, frozen=True, kw_only=True):
    """A delegation whose next change is waited for, and for how long at most."""

    version: int
    """How many of its events are known."""
    limit_s: Annotated[float, Meta(ge=0, le=LONGEST_S)]


class Several(Acting, frozen=True, kw_only=True):
    """Delegations of one project."""

    project: str
    ids: tuple[str, ...]


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """One of several that were to be stopped: as it then is, or why it was not stopped."""

    delegation: Sheet | None = None
    refused: str = ""


class Said(Which, frozen=True, kw_only=True):
    """An instruction to a delegation, or an answer."""

    text: str
    request: str = ""
    """Of an answer: the id of what it is meant for; without one, whatever was asked first."""


class Longer(Which, frozen=True, kw_only=True):
    """More time for a delegation."""

    minutes: float
    """0 = it has no time limit from then on."""


class Named(Which, frozen=True, kw_only=True):
    """Labels or a note for a delegation."""

    change: Annotation


class Awaited(msgspec.Struct, frozen=True, kw_only=True):
    """What to wait for, and for how long at most."""

    project: str
    ids: tuple[str, ...]
    limit_s: Annotated[float, Meta(ge=0, le=LONGEST_S)]
    for_any: bool = False


class Ordered(Acting, frozen=True, kw_only=True):
    """A delegation that is to be made in a directory that the service has open."""

    directory: str
    order: Order


class Wrote(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent has written since the last time."""

    text: str
    position: Position = BEGINNING
    """How far that is; whoever follows somewhere else goes on from there."""


class Asks(msgspec.Struct, frozen=True, kw_only=True):
    """A delegation that is waited for waits for an answer itself."""

    id: str
    requests: tuple[RequestSheet, ...]


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer went to, and the delegation as it then is."""

    asked: str
    delegation: Sheet
