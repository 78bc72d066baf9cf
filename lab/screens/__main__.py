"""``make screens``: take the pictures that the documentation shows, and put them there."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from lab.harness.home import CHECKOUT
from lab.screens import board, panel
from lab.screens.svg import svg

IMAGES = CHECKOUT / "docs" / "images"


def main() -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory(prefix="api-") as folder:
        _keep(
            "watch", "background-agents watch", asyncio.run(board.watch(Path(folder))), board.SIZE
        )
    with tempfile.TemporaryDirectory(prefix="panel-") as folder:
        for name, screen in asyncio.run(panel.screens(Path(folder))).items():
            _keep(name, "OpenCode", screen, panel.SIZE)


def _keep(name: str, title: str, screen: str, size: tuple[int, int]) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    picture = IMAGES / f"{name}.svg"
    picture.write_text(svg(screen, title, name, size[0]) + "\n", "utf-8")
    print(picture)


if __name__ == "__main__":
    main()
