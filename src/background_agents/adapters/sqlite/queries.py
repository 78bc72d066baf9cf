"""The statements of ``queries.sql`` by name, read once when the store is first imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def split(text: str) -> Mapping[str, str]:
    """Return the statements of a file like ``queries.sql``, without their comments."""
    _, *pieces = _NAME.split(text)
    return {
        name: "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
        for name, body in zip(pieces[::2], pieces[1::2], strict=True)
    }


# By its path: importlib.resources would cost each command of a human 5 ms of imports.
QUERIES = split(Path(__file__).with_name("queries.sql").read_text(encoding="utf-8"))
