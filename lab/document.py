"""Tables that programs write into documents: what stands between two marks is replaced."""

from __future__ import annotations

from pathlib import Path


def marks(name: str) -> tuple[str, str]:
    """Return the lines between which the block of that name stands."""
    return f"<!-- {name} -->", f"<!-- end of {name} -->"


def write_into(document: Path, name: str, block: str) -> None:
    """Replace the block of that name in a document; everything around it stays.

    Raises:
        SystemExit: the document has no such block, or its end comes before its beginning.
    """
    begin, end = marks(name)
    before, _, rest = document.read_text("utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{document} has no lines {begin} and {end} to write between.")
    document.write_text(f"{before}{begin}\n{block}\n{end}{after}", "utf-8")
