"""What a check says: how bad it is, why, and the one command that mends it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta


class Mark(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not as well as it could, or not for long."""
    PROBLEM = "problem"
    """Something does not work."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    check: Annotated[str, Meta(description="what was looked at: a name that stays the same")]
    mark: Annotated[Mark, Meta(description="`ok`, `warning` or `problem`")]
    says: Annotated[str, Meta(description="what was found, in a sentence or two")]
    mend: Annotated[
        str | None, Meta(description="the one command that mends it; null if it is ok")
    ] = None
    details: Annotated[tuple[str, ...], Meta(description="what else helps to understand it")] = ()


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """The findings of one theme."""

    title: str
    findings: tuple[Finding, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found."""

    well: Annotated[bool, Meta(description="there is no problem; there may be warnings")]
    version: Annotated[str, Meta(description="of this background-agents")]
    directory: Annotated[str, Meta(description="the folder that was examined")]
    project: Annotated[str, Meta(description="the project that it belongs to")]
    data: Annotated[str, Meta(description="where that project's records and results are kept")]
    sections: tuple[Section, ...]


def ok(check: str, says: str, *details: str) -> Finding:
    """Say that all is well."""
    return Finding(check=check, mark=Mark.OK, says=says, details=details)


def warning(check: str, says: str, mend: str, *details: str) -> Finding:
    """Say what could be better."""
    return Finding(check=check, mark=Mark.WARNING, says=says, mend=mend, details=details)


def problem(check: str, says: str, mend: str, *details: str) -> Finding:
    """Say what does not work."""
    return Finding(check=check, mark=Mark.PROBLEM, says=says, mend=mend, details=details)
