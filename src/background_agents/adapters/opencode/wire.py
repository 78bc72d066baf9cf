"""What both lines of OpenCode name alike in their APIs, as typed structures."""

from __future__ import annotations

import msgspec

ERROR_CHARS = 20_000
"""Of an error; some providers answer with whole pages."""


def as_named(field: str) -> str:
    """Return the name that OpenCode has for a field: ``session_id`` is its ``sessionID``."""
    return f"{field.removesuffix('_id')}ID" if field.endswith("_id") else field


class Struct(msgspec.Struct, rename=as_named):
    """A part of an API object; members that are not used are skipped."""


class Model(Struct):
    """A model as user messages name it."""

    provider_id: str = ""
    model_id: str = ""
    variant: str | None = None


class PermissionRule(Struct):
    """What happens when an agent asks for a permission; both names may have wildcards."""

    permission: str
    pattern: str
    action: str


class AgentInfo(Struct):
    name: str
    mode: str = "all"
    description: str | None = None
    hidden: bool | None = None
    model: Model | None = None
    prompt: str | None = None
    permission: list[PermissionRule] = []


class Config(Struct):
    model: str | None = None
    small_model: str | None = None
