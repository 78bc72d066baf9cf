"""A notice as the demo reads it: in the transcript, and as its model does."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

NOTICE = "<task-notification>"


@dataclass(frozen=True)
class Notice:
    """A notice, as it stands in the supervisor's transcript."""

    id: str
    status: str
    elapsed: str
    remaining: str
    told: str
    """The error, or the summary."""
    all_complete: bool

    @classmethod
    def all_in(cls, text: str) -> list[Notice]:
        return [cls._of(block) for block in text.split(NOTICE)[1:]]

    @classmethod
    def _of(cls, block: str) -> Notice:
        tags = {tag: html.unescape(value) for tag, value in _TAG.findall(block)}
        return cls(
            id=tags.get("task-id", ""),
            status=tags.get("status", ""),
            elapsed=tags.get("elapsed", ""),
            remaining=tags.get("remaining", ""),
            told=tags.get("error") or tags.get("summary", ""),
            all_complete=tags.get("all-complete") == "true",
        )


_TAG = re.compile(r"<([a-z-]+)>(.*?)</\1>")
