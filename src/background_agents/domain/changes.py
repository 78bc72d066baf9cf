"""What a delegation changed: files before and after, how sure it is that it did, and the sum of it.

Runtime-neutral and pure. Contents are named by digest; whoever keeps them has them by that name.
Paths are relative to the top of the working tree, with ``/``; absolute where they lie outside.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class Certainty(StrEnum):
    """How sure it is that a delegation made a change."""

    SURE = "sure"
    """Its own tool wrote the file, and what it wrote is what was found after it."""
    LIKELY = "likely"
    """It changed while a command of its own ran, and of nobody else is known that they wrote."""
    SHARED = "shared"
    """Others wrote, or may have written, at the same time."""


class Kind(StrEnum):
    """What stands at a path."""

    ABSENT = "absent"
    FILE = "file"
    LINK = "link"
    """A symbolic link; its content is where it leads."""
    OPAQUE = "opaque"
    """Something whose content is not kept; ``Image.why`` says why."""


class Image(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stood at a path at one moment."""

    kind: Kind
    digest: str = ""
    """SHA-256 of the raw bytes, in hexadecimal; empty for what is absent or opaque."""
    mode: int = 0
    """Permission bits, such as 0o644; 0 for what is no regular file."""
    size: int = 0
    """In bytes."""
    why: str = ""
    """Why an opaque one's content is not kept, as an end of a sentence: "it is too large"."""

    @property
    def is_there(self) -> bool:
        return self.kind is not Kind.ABSENT


ABSENT = Image(Kind.ABSENT)


class Segment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of one file, by one call of a tool, or by an undo."""

    at: datetime
    """When it was found to be done, in UTC."""
    path: str
    before: Image
    after: Image
    certainty: Certainty = Certainty.SURE
    by: str = ""
    """The tool that made it, or ``undo``, ``redo`` or ``apply`` where its user did."""
    folders: int | None = None
    """How many of the folders above it came with it, or go with it once they are empty; None where
    that is not known."""


UNDO, REDO, APPLY = "undo", "redo", "apply"

BY_USERS = frozenset({UNDO, REDO, APPLY})
"""What a segment is by that its delegation did not make, but its user."""


class Window(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call of a tool that may write, from before it runs on."""

    call: str
    """The call's id, with that of its session: providers give the same one twice."""
    tool: str
    at: datetime
    """When it was opened, in UTC."""
    top: str
    """The top of the working tree that it may write in."""
    before: dict[str, Image] = {}
    """What stood at the paths that it is known to write; empty if these are not known."""


class Delta(msgspec.Struct, frozen=True):
    """What differs in a working tree between two looks, whoever made it so."""

    path: str
    before: Image
    after: Image


class Changes(msgspec.Struct, frozen=True, omit_defaults=True):
    """The sum of what a delegation changed, small enough to stand in its record."""

    files: int = 0
    """How many files are other than before."""
    added: int = 0
    """Lines added, of files that are text."""
    removed: int = 0
    """Lines removed."""
    uncertain: int = 0
    """Files among them of which it is not sure that it was this delegation."""
    names: tuple[str, ...] = ()
    """The first of them, as they are told: ``a``, or ``a → b`` for one that was renamed."""
    open: tuple[str, ...] = ()
    """What may go on writing although the run is over, one sentence each."""
    apart: str = ""
    """What has become of the isolated tree that they were made in, as ``isolation.State`` says;
    empty where they were made in the project itself."""
    strayed: str = ""
    """What happened outside of that tree meanwhile, or is not known of it, as a sentence."""
