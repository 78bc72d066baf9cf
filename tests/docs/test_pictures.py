"""Pictures of the program show what a terminal showed, and fetch nothing."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from lab.screens.__main__ import IMAGES
from lab.screens.svg import svg

COLUMNS = 100

SCREEN = "\x1b[32mrunning\x1b[0m  brave-amber-otter  <script> & more\n" + "-" * COLUMNS + "\n"


def drawn() -> str:
    return svg(SCREEN, "A title", "a-picture", COLUMNS)


def test_a_screen_is_drawn_with_its_words_and_colours() -> None:
    words = "".join(ElementTree.fromstring(drawn()).itertext()).replace("\xa0", " ")
    assert "A title" in words
    assert "running" in words
    assert "brave-amber-otter  <script> & more" in words
    assert "-" * COLUMNS in words
    assert "fill: #8cc265" in words  # the theme's green, in its style sheet


def test_pictures_need_nothing_from_elsewhere() -> None:
    """Neither a font nor a style sheet: the only address is the name of the language."""
    pictures = [one.read_text("utf-8") for one in IMAGES.glob("*.svg")]
    assert pictures
    for text in (drawn(), *pictures):
        assert set(re.findall(r"https?://[^\"' )]+", text)) == {"http://www.w3.org/2000/svg"}
        assert "@import" not in text
        assert "@font-face" not in text
