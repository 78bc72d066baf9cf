"""The lifecycle of a delegation as a picture for a page in HTML, drawn from the table of moves.

Boxes are placed by hand; which arrows there are, the table says. A status without a box is an
error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from background_agents.domain.status import CUT_SHORT, TRANSITIONS, Status


class _Box(NamedTuple):
    """Where statuses stand, in pixels from the top left."""

    x: int
    y: int
    width: int = 130
    height: int = 40

    @property
    def middle(self) -> tuple[int, int]:
        return self.x + self.width // 2, self.y + self.height // 2


_CUT = tuple(CUT_SHORT)

_BOXES: Mapping[tuple[Status, ...], _Box] = {
    (Status.COMPLETED,): _Box(315, 10),
    (Status.REGISTERED,): _Box(110, 110),
    (Status.RUNNING,): _Box(315, 110),
    (Status.WAITING,): _Box(590, 110),
    _CUT: _Box(110, 210, 610),
}
"""Those that share a box are reached from the same statuses, each by the event of its name."""

_APART = 9
"""Pixels from the middle, of arrows that go there and back."""

_HEAD = """\
<svg class="lifecycle" viewBox="0 0 740 260" role="img" aria-label="The lifecycle of a delegation"
 xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="13" fill="currentColor">
<marker id="to" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8"
 orient="auto"><path d="M 0 0 L 10 5 L 0 10 z"/></marker>"""


def picture() -> str:
    """Return the picture as SVG, in the colours of the page that it stands in."""
    begin = _line((30, 130), (110, 130), "Registered", Status.REGISTERED, Status.REGISTERED)
    moves = {
        (status, to): "" if to in _CUT else kind.__name__
        for status, kinds in TRANSITIONS.items()
        for kind, to in kinds.items()
        if to is not status
    }
    arrows = [
        _arrow(status, to, told, (to, status) in moves) for (status, to), told in moves.items()
    ]
    return "\n".join([_HEAD, begin, *arrows, *map(_drawn, _BOXES), "</svg>"])


def _arrow(status: Status, to: Status, told: str, goes_back: bool) -> str:
    """Draw a move; it runs straight across, up or down, to the edge of a box."""
    begin, end = _box(status), _box(to)
    x, y = begin.middle
    if begin.y > end.y:
        return _line((x, begin.y), (x, end.y + end.height), told, status, to)
    if begin.y < end.y:
        return _line((x, begin.y + begin.height), (x, end.y), told, status, to)
    if begin.x < end.x:
        y -= _APART if goes_back else 0
        return _line((begin.x + begin.width, y), (end.x, y), told, status, to)
    return _line((begin.x, y + _APART), (end.x + end.width, y + _APART), told, status, to)


def _line(
    begin: tuple[int, int], end: tuple[int, int], told: str, status: Status, to: Status
) -> str:
    (x1, y1), (x2, y2) = begin, end
    if y1 == y2:
        at = f'x="{(x1 + x2) // 2}" y="{y1 + (18 if x2 < x1 else -7)}" text-anchor="middle"'
    else:
        at = f'x="{x1 + 9}" y="{(y1 + y2) // 2 + 4}"'
    ends = f'x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"'
    line = f'<line {ends} marker-end="url(#to)" stroke="currentColor"/>'
    return f"<g><title>{status} → {to}</title>{line}<text {at}>{told}</text></g>"


def _box(status: Status) -> _Box:
    return next(box for statuses, box in _BOXES.items() if status in statuses)


def _drawn(statuses: tuple[Status, ...]) -> str:
    box = _BOXES[statuses]
    x, y = box.middle
    edge = f'width="{box.width}" height="{box.height}" rx="8" fill="none" stroke="currentColor"'
    name = f'<text x="{x}" y="{y + 5}" text-anchor="middle" font-weight="bold">'
    return f'<rect x="{box.x}" y="{box.y}" {edge}/>{name}{" · ".join(statuses)}</text>'
