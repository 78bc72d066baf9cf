"""What a call of a tool is about to write, and whether what is there after it is what it wrote.

Pure. Knows the tools of both lines of OpenCode by their names and arguments (seen on 1.18.33 and on
the preview of 2). What is not known here may write anywhere, like a shell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from background_agents.domain.changes import Image, Kind
from background_agents.domain.patches import patched, replaced

BOM = "\ufeff"

_HEADER = re.compile(r"^\*\*\* (Add File|Update File|Delete File|Move to): (.+?)\s*$", re.MULTILINE)

Content = Callable[[str], bytes]
"""Returns a kept content by its digest."""


class Written(msgspec.Struct, frozen=True):
    """What a tool tells of one file that it has written."""

    file: str
    """Where it is now, or was before it was deleted."""
    patch: str = ""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool that may write, as a host hands it over."""

    session: str
    id: str
    tool: str
    args: Mapping[str, object] = {}

    @property
    def key(self) -> str:
        """What tells it from others: of two sessions calls may have the same id."""
        return f"{self.session} {self.id}"

    def text(self, *names: str) -> str:
        """Return the first argument of these that is a text; empty if none is."""
        found = (self.args.get(name) for name in names)
        return next((one for one in found if isinstance(one, str)), "")

    def digest(self, name: str) -> str:
        """Return the SHA-256 of an argument that was too long to be handed over."""
        given = self.args.get(name)
        found = given.get("sha256") if isinstance(given, Mapping) else None
        return found if isinstance(found, str) else ""

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that it is about to write, as it calls them; none if nobody can know."""
        match self.tool:
            case "write" | "edit":
                path = self.text("filePath", "path")
                return (path,) if path else ()
            case "apply_patch" | "patch":
                patch = self.text("patchText")
                return tuple(dict.fromkeys(path for _, path in _HEADER.findall(patch)))
            case _:
                return ()


def is_proven(
    call: Call, path: str, before: Image, after: Image, told: Sequence[Written], content: Content
) -> bool:
    """Return whether what a call wrote to ``path`` is exactly what is there after it.

    ``path`` is as the call names it; ``before`` is what stood where the file has come
    from, which is another place if the patch has moved it.
    """
    if after.kind is Kind.ABSENT:
        return path in _gone(call)
    if after.kind is not Kind.FILE or before.kind not in (Kind.FILE, Kind.ABSENT):
        return False
    if (digest := call.digest("content")) and call.tool == "write":
        return digest == after.digest
    old, new = _text(before, content), _text(after, content)
    if old is None or new is None:
        return False
    return new in _possible(call, old, [one.patch for one in told])


def sources(call: Call) -> dict[str, str]:
    """Return, by where a patch moves files to, where from."""
    found: dict[str, str] = {}
    source = ""
    for what, path in _HEADER.findall(call.text("patchText")):
        if what == "Move to":
            found[path] = source
        source = path
    return found


def _gone(call: Call) -> set[str]:
    headers = _HEADER.findall(call.text("patchText"))
    return {path for what, path in headers if what == "Delete File"} | set(sources(call).values())


def _possible(call: Call, before: str, patches: Sequence[str]) -> Iterator[str]:
    """Yield what a call may have made of a text: it keeps the marks and ends that it finds."""
    mark = BOM if before.startswith(BOM) else ""
    bare = before.removeprefix(BOM)
    for made in _made(call, bare, patches):
        yield mark + made
    if "\r\n" in bare and bare.count("\n") == bare.count("\r\n"):
        for made in _made(call, bare.replace("\r\n", "\n"), patches):
            yield mark + made.replace("\r\n", "\n").replace("\n", "\r\n")


def _made(call: Call, before: str, patches: Sequence[str]) -> Iterator[str]:
    if call.tool == "write":
        yield call.text("content")
    if call.tool == "edit":
        old, new = call.text("oldString"), call.text("newString")
        made = replaced(before, old, new, everywhere=call.args.get("replaceAll") is True)
        if made is not None:
            yield made
        if not old and not before:
            yield new
    for patch in patches:
        made = patched(before, patch)
        if made is not None:
            yield made


def _text(image: Image, content: Content) -> str | None:
    if image.kind is Kind.ABSENT:
        return ""
    try:
        return content(image.digest).decode()
    except UnicodeDecodeError:
        return None
