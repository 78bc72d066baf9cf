"""The documentation builds into a site without a warning, and leads nowhere into the void."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from background_agents.domain.status import TRANSITIONS, Status

ROOT = Path(__file__).resolve().parents[2]

LIMIT_S = 60
"""It takes 3 s."""

FETCHED = {("link", "href"), ("script", "src"), ("img", "src"), ("object", "data")}
"""What a browser loads without being asked. A <link> also names neighbours, which is harmless."""


class Page(HTMLParser):
    """What a page links to, what it loads, and which places in it can be linked to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(file.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name == "id":
                self.places.add(value)
            if (tag, name) in FETCHED:
                self.loads.append(value)
            elif tag == "a" and name == "href":
                self.links.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does."""
    built = tmp_path_factory.mktemp("site")
    arguments = ["-W", "--keep-going", "-q", "-d", str(built / "doctrees")]
    build = [sys.executable, "-m", "sphinx", *arguments, str(ROOT / "docs"), str(built / "html")]
    ran = subprocess.run(build, capture_output=True, text=True, timeout=LIMIT_S)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    return built / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Return every page of the site."""
    return {file: Page(file) for file in sorted(site.rglob("*.html"))}


def test_every_document_is_a_page(site: Path) -> None:
    sources = {one.relative_to(ROOT / "docs") for one in (ROOT / "docs").rglob("*.md")}
    assert {one for one in sources if not (site / one).with_suffix(".html").exists()} == set()


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    """Also the ones to a place within a page, and those that the theme makes."""
    broken = [
        f"{file.name}: {link}"
        for file, page in pages.items()
        for link in page.links + page.loads
        if not is_outside(link) and not leads_somewhere(file, link, pages)
    ]
    assert broken == []


def test_nothing_is_fetched_from_elsewhere(pages: dict[Path, Page]) -> None:
    """A reader without a network misses nothing, and nobody learns what is read."""
    loads = {link for page in pages.values() for link in page.loads}
    assert {link for link in loads if is_outside(link)} == set()


def test_the_lifecycle_is_drawn(site: Path) -> None:
    """Each move of the table has an arrow, and each status its name."""
    page = (site / "architecture.html").read_text("utf-8")
    drawing = page[page.index('<svg class="lifecycle"') :].partition("</svg>")[0]
    moves = {(one, to) for one, kinds in TRANSITIONS.items() for to in kinds.values() if to != one}
    arrows = re.findall(r"<title>(\w+) → (\w+)</title><line", drawing)
    assert sorted(arrows) == sorted([*moves, ("registered", "registered")])
    assert all(status in drawing for status in Status)
    assert "stateDiagram" not in page


def is_outside(link: str) -> bool:
    parts = urlsplit(link)
    return bool(parts.scheme or parts.netloc)


def leads_somewhere(file: Path, link: str, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if not target.is_file():
        return False
    return not parts.fragment or target not in pages or parts.fragment in pages[target].places
