"""One line of input, as it is typed: text and a cursor. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from background_agents.hosts.cli.watching.keys import Key


@dataclass(frozen=True)
class Line:
    """What has been typed so far."""

    text: str = ""
    cursor: int = 0
    """In characters, from the beginning."""

    def press(self, key: Key) -> Line:
        """Return the line after a key; keys that are not for it change nothing."""
        before, after = self.text[: self.cursor], self.text[self.cursor :]
        match key.name:
            case "text" | "paste":
                return Line(before + key.text + after, len(before) + len(key.text))
            case "backspace":
                return Line(before[:-1] + after, max(self.cursor - 1, 0))
            case "ctrl-w":
                kept = before.rstrip()
                kept = kept[: max(kept.rfind(" "), kept.rfind("\n")) + 1]
                return Line(kept + after, len(kept))
            case "ctrl-u":
                return Line(after, 0)
            case "ctrl-k":
                return Line(before, self.cursor)
            case "delete":
                return Line(before + after[1:], self.cursor)
            case _:
                return replace(self, cursor=self._moved(key.name))

    def _moved(self, name: str) -> int:
        where = {
            "left": max(self.cursor - 1, 0),
            "right": min(self.cursor + 1, len(self.text)),
            "home": 0,
            "end": len(self.text),
        }
        return where.get(name, self.cursor)
