"""A call of a tool that may write, as far as that is known before it runs and after it.

Nothing is known of most, which may write anywhere, like a shell. A host knows what some of its
tools write, and what proves it: its calls are of a kind of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from background_agents.domain.change_sums import Content
from background_agents.domain.changes import Image


class Written(msgspec.Struct, frozen=True):
    """What a tool tells of one file that it has written."""

    file: str
    """Where it is now, or was before it was deleted."""
    patch: str = ""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool of which nobody knows what it writes."""

    session: str
    id: str
    tool: str

    @property
    def key(self) -> str:
        """What tells it from others: of two sessions calls may have the same id."""
        return f"{self.session} {self.id}"

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that it is about to write, as it calls them; none if nobody can know."""
        return ()

    @property
    def overwrites(self) -> bool:
        """Whether it writes whole files, whatever they have come to hold since it began."""
        return False

    @property
    def sources(self) -> Mapping[str, str]:
        """By where it moves files to, where from."""
        return {}

    def is_proven(
        self, path: str, before: Image, after: Image, told: Sequence[Written], content: Content
    ) -> bool:
        """Return whether what it wrote to ``path`` is exactly what is there after it.

        ``path`` is as it names it; ``before`` is what stood where the file has come from, which is
        another place if the call has moved it.
        """
        return False
