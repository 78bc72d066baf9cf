"""Labels and a note that people give to a delegation, for themselves: no model is told of them."""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from background_agents.domain.delegation import Delegation
from background_agents.domain.errors import InvalidRequest, quote
from background_agents.domain.events import Annotated

MOST_LABELS, NOTE_CHARS = 20, 2_000
"""More are no help to whoever reads a line, or the whole of one."""

_LABEL = re.compile(r"[\w.:/+#-]{1,40}")


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be other than before."""

    labels: tuple[str, ...] = ()
    """To be added."""
    without: tuple[str, ...] = ()
    """To be taken away."""
    note: str | None = None
    """Takes the place of the one before; empty for none."""

    def of(self, one: Delegation, at: datetime, by: str) -> Annotated:
        """Return what happens to a delegation by that.

        Raises:
            InvalidRequest: a label or the note cannot be meant.
        """
        for label in self.labels:
            if _LABEL.fullmatch(label) is None:
                raise InvalidRequest(
                    f"{quote(label)} is no label; write one word of at most 40 letters and digits."
                )
        kept = [label for label in one.labels if label not in self.without]
        labels = tuple(dict.fromkeys([*kept, *self.labels]))
        note = one.note if self.note is None else self.note.strip()
        for what, has, most in (
            ("labels", len(labels), MOST_LABELS),
            ("characters of note", len(note), NOTE_CHARS),
        ):
            if has > most:
                raise InvalidRequest(f"{one.id} would have {has:,} {what}; {most:,} is the most.")
        return Annotated(at=at, labels=labels, note=note, by=by)
