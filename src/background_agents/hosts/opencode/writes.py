"""What OpenCode's tools are about to write, and whether what is there after it is what they wrote.

Pure. Knows the tools of both lines by their names and arguments (seen on 1.18.33 and on the preview
of 2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from background_agents.domain.change_sums import Content
from background_agents.domain.changes import Image, Kind
from background_agents.domain.patches import patched, replaced
from background_agents.service.changes.calls import Call, Written

BOM = "\ufeff"

_HEADER = re.compile(r"^\*\*\* (Add File|Update File|Delete File|Move to): (.+?)\s*$", re.MULTILINE)


class ToolCall(Call, frozen=True, kw_only=True):
    """A call of one of OpenCode's tools."""

    args: Mapping[str, object] = {}

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
        match self.tool:
            case "write" | "edit":
                path = self.text("filePath", "path")
                return (path,) if path else ()
            case "apply_patch" | "patch":
                patch = self.text("patchText")
                return tuple(dict.fromkeys(path for _, path in _HEADER.findall(patch)))
            case _:
                return ()

    @property
    def overwrites(self) -> bool:
        return self.tool == "write"

    @property
    def sources(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        source = ""
        for what, path in _HEADER.findall(self.text("patchText")):
            if what == "Move to":
                found[path] = source
            source = path
        return found

    def is_proven(
        self, path: str, before: Image, after: Image, told: Sequence[Written], content: Content
    ) -> bool:
        if after.kind is Kind.ABSENT:
            return path in _gone(self)
        if after.kind is not Kind.FILE or before.kind not in (Kind.FILE, Kind.ABSENT):
            return False
        if (digest := self.digest("content")) and self.tool == "write":
            return digest == after.digest
        old, new = _text(before, content), _text(after, content)
        if old is None or new is None:
            return False
        return new in _possible(self, old, [one.patch for one in told])


def _gone(call: ToolCall) -> set[str]:
    headers = _HEADER.findall(call.text("patchText"))
    return {path for what, path in headers if what == "Delete File"} | set(call.sources.values())


def _possible(call: ToolCall, before: str, patches: Sequence[str]) -> Iterator[str]:
    """Yield what a call may have made of a text: it keeps the marks and ends that it finds."""
    mark = BOM if before.startswith(BOM) else ""
    bare = before.removeprefix(BOM)
    for made in _made(call, bare, patches):
        yield mark + made
    if "\r\n" in bare and bare.count("\n") == bare.count("\r\n"):
        for made in _made(call, bare.replace("\r\n", "\n"), patches):
            yield mark + made.replace("\r\n", "\n").replace("\n", "\r\n")


def _made(call: ToolCall, before: str, patches: Sequence[str]) -> Iterator[str]:
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
