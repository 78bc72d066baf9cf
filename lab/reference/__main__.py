"""``python -m lab.reference``: write the reference pages anew."""

from __future__ import annotations

from lab.reference.pages import FOLDER, pages


def main() -> None:
    """Write every page into the checkout's ``docs/reference``."""
    for name, text in pages().items():
        file = FOLDER / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
