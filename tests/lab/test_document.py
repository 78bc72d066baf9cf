"""A program's table replaces the one before it, and nothing else of the document."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.document import write_into


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    """Text before and after it, and the blocks of others, stay to the letter."""
    document = tmp_path / "page.md"
    others = "<!-- other -->\nkept\n<!-- end of other -->\n"
    document.write_text(f"# é\n\n<!-- mine -->\nold\n<!-- end of mine -->\n\n{others}", "utf-8")
    write_into(document, "mine", "| new |")
    write_into(document, "mine", "| newer |")
    expected = f"# é\n\n<!-- mine -->\n| newer |\n<!-- end of mine -->\n\n{others}"
    assert document.read_text("utf-8") == expected


def test_a_document_without_the_marks_is_refused_and_left_alone(tmp_path: Path) -> None:
    """The sentence names the document and the marks."""
    document = tmp_path / "page.md"
    text = "<!-- end of mine -->\n<!-- mine -->\n"
    document.write_text(text, "utf-8")
    with pytest.raises(SystemExit, match=r"page\.md has no lines <!-- mine -->"):
        write_into(document, "mine", "new")
    assert document.read_text("utf-8") == text
