"""Where changes of files are kept, beside the artifacts of their delegations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from background_agents.domain.changes import Segment, Window


class ChangeJournal(Protocol):
    """Keeps what delegations of a project changed, with the contents before and after.

    Everything here blocks, and belongs on a worker thread or into a person's program. Raises
    ``StoreUnavailable`` where the storage fails; nothing is then half stored.
    """

    def segments(self, delegation: str) -> list[Segment]:
        """Return what a delegation changed, oldest first; nothing for one that changed nothing."""

    def add(self, delegation: str, segments: Sequence[Segment]) -> None:
        """Store changes durably; what their images name has been kept before."""

    def open(self, delegation: str, window: Window) -> None:
        """Store durably that a call is about to write; what it finds has been kept before."""

    def close(self, delegation: str, call: str, segments: Sequence[Segment] = ()) -> None:
        """Store that a call writes no more, together with what it changed."""

    def windows(self, delegation: str) -> list[Window]:
        """Return the calls that were opened and never closed, oldest first."""

    def keep(self, content: bytes) -> str:
        """Store a content and return its digest; one that is there already costs nothing."""

    def content(self, digest: str) -> bytes:
        """Return a content. Raises ``ContentGone`` when it is kept no more."""
