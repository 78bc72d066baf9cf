"""Which reference pages there are."""

from __future__ import annotations

from collections.abc import Mapping

from lab.harness.home import CHECKOUT
from lab.reference import (
    answers,
    commands,
    configuration,
    exit_codes,
    manual,
    notices,
    python,
    tools,
)

FOLDER = CHECKOUT / "docs" / "reference"


def pages() -> Mapping[str, str]:
    """Return the text of each generated file, by its name below ``FOLDER``."""
    return {
        "tools.md": tools.page(),
        "commands.md": commands.page(),
        "configuration.md": configuration.page(),
        "json.md": answers.page(),
        "exit-codes.md": exit_codes.page(),
        "notices.md": notices.page(),
        "python.md": python.page(),
        **{f"man/{name}": text for name, text in manual.files().items()},
        **answers.schema_files(),
    }
