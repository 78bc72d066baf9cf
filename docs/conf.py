"""How the documentation becomes a site; `make docs` builds it, and a warning is an error."""

import sys
from pathlib import Path

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

from background_agents import __version__

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for what draws, in lab

from lab.reference.lifecycle import statuses
from lab.reference.picture import picture

project = "background-agents"
author = "the background-agents authors"
copyright = f"2026, {author}"  # noqa: A001  # Sphinx's name for it
version = release = __version__

extensions = ["myst_parser"]
myst_heading_anchors = 3  # as on GitHub, so that a link works in both places

html_theme = "furo"  # brings its fonts and scripts along; nothing is fetched by a reader
html_title = "background-agents"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"


def setup(app: Sphinx) -> None:
    """Draw the lifecycle, and let any other Mermaid diagram stand as text.

    What draws them all would need the network, or 3 MB of scripts.
    """
    app.add_lexer("mermaid", TextLexer)
    app.connect("doctree-read", _draw)


def _draw(_app: Sphinx, page: nodes.document) -> None:
    for block in list(page.findall(nodes.literal_block)):
        if block.astext().strip() == statuses():
            block.replace_self(nodes.raw("", picture(), format="html"))
