"""A terminal's screen as an SVG, colours included, that needs no font and nothing from anywhere."""

from __future__ import annotations

import io

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text


def svg(screen: str, title: str, name: str, columns: int) -> str:
    """Draw a screen that was captured with its colours; ``name`` is unique on a page."""
    console = Console(record=True, width=columns, file=io.StringIO(), legacy_windows=False)
    console.print(Text.from_ansi(screen.rstrip("\n")), no_wrap=True, crop=True)
    return console.export_svg(title=title, theme=THEME, code_format=FORMAT, unique_id=name)


THEME = TerminalTheme(
    (24, 27, 34),
    (214, 219, 229),
    [
        (48, 53, 66),
        (232, 113, 117),
        (140, 194, 101),
        (224, 176, 92),
        (97, 160, 232),
        (198, 134, 222),
        (86, 182, 194),
        (171, 178, 191),
    ],
    [
        (120, 128, 145),
        (240, 140, 144),
        (165, 214, 130),
        (236, 196, 124),
        (132, 184, 244),
        (214, 164, 234),
        (120, 206, 216),
        (236, 239, 244),
    ],
)
"""Dark, and readable on a light page and on a dark one."""

FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<!-- Taken of the real program by `make screens`. -->
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own frame, without the font that it would fetch from elsewhere."""
