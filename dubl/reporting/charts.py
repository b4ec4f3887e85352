"""Charts as inline SVG: text and shapes that take their colors from the page's style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 34
LABEL_WIDTH, BAR_HEIGHT = 200, 24
MAX_LABELS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A class of the style, what it is called, a value for each place on the axis."""

    style: str
    name: str
    values: Sequence[float]


def stacked_bars(labels: Sequence[str], series: Sequence[Series], *, title: str) -> str:
    """A bar for each label, its parts above each other."""
    sums = [sum(values) for values in zip(*(one.values for one in series), strict=True)]
    top = max([*sums, 1])
    step = (WIDTH - LEFT - RIGHT) / max(len(labels), 1)
    width = min(step * 0.8, 48)
    shapes = [_grid(top)]
    for place, label in enumerate(labels):
        x, y = LEFT + step * (place + 0.5) - width / 2, float(HEIGHT - BOTTOM)
        for one in series:
            height = one.values[place] / top * (HEIGHT - TOP - BOTTOM)
            y -= height
            if height:
                hint = f"<title>{escape(label)}: {one.values[place]:g} {escape(one.name)}</title>"
                shapes.append(_box(x, y, width, height, one.style, hint))
        if place % max(1, -(-len(labels) // MAX_LABELS)) == 0:
            shapes.append(_text(x + width / 2, HEIGHT - 12, label, "middle"))
    return _picture(shapes, title, HEIGHT)


def bars(rows: Sequence[tuple[str, float]], *, style: str, title: str) -> str:
    """A horizontal bar for each row."""
    top = max([*(value for _, value in rows), 1])
    room = WIDTH - LABEL_WIDTH - 70
    shapes = []
    for number, (label, value) in enumerate(rows):
        y = number * (BAR_HEIGHT + 6)
        width = value / top * room
        shown = label if len(label) < 27 else f"{label[:26]}…"
        shapes.append(_text(LABEL_WIDTH - 8, y + 16, shown, "end"))
        shapes.append(_box(LABEL_WIDTH, y, width, BAR_HEIGHT, style, ""))
        shapes.append(_text(LABEL_WIDTH + width + 8, y + 16, f"{value:g}", "start"))
    return _picture(shapes, title, max(1, len(rows)) * (BAR_HEIGHT + 6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A share that was expected, and what was observed, with its interval."""

    expected: float
    observed: float
    low: float
    high: float
    name: str


def calibration(dots: Sequence[Dot], *, title: str) -> str:
    """Observed over expected; the diagonal is where both agree."""
    side = HEIGHT - TOP - BOTTOM
    corner = (LEFT, HEIGHT - BOTTOM)
    shapes = [
        f'<path class="axis" d="M{corner[0]} {TOP}V{corner[1]}H{corner[0] + side}"/>',
        f'<path class="ideal" d="M{corner[0]} {corner[1]}L{corner[0] + side} {TOP}"/>',
    ]
    for mark in (0.0, 0.5, 1.0):
        shapes.append(_text(corner[0] + mark * side, HEIGHT - 12, f"{mark:g}", "middle"))
        shapes.append(_text(corner[0] - 8, corner[1] - mark * side + 4, f"{mark:g}", "end"))
    for dot in dots:
        x = corner[0] + dot.expected * side
        low, high = (corner[1] - value * side for value in (dot.low, dot.high))
        y = corner[1] - dot.observed * side
        shapes.append(f'<path class="range" d="M{x:.1f} {low:.1f}V{high:.1f}"/>')
        shapes.append(
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="5">'
            f"<title>{escape(dot.name)}</title></circle>"
        )
    return _picture(shapes, title, HEIGHT)


def _grid(top: float) -> str:
    lines = []
    for share in (0.0, 0.5, 1.0):
        y = HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
        lines.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        if share == 0 or top > 1 or share == 1:
            lines.append(_text(LEFT - 8, y + 4, f"{top * share:g}", "end"))
    return "".join(lines)


def _box(x: float, y: float, width: float, height: float, style: str, inside: str) -> str:
    size = f'width="{max(width, 1):.1f}" height="{height:.1f}"'
    return f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" {size} rx="2">{inside}</rect>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _picture(shapes: Sequence[str], title: str, height: int) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"{''.join(shapes)}</svg>"
    )
