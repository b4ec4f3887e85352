"""Plain plots drawn with Pillow: curves, bars and a histogram in the unit range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]
Point = tuple[float, float]

INK: Color = (38, 43, 51)
FAINT: Color = (226, 229, 234)
PALE: Color = (120, 128, 140)
PAPER: Color = (255, 255, 255)
COLORS: tuple[Color, ...] = (
    (20, 110, 190),
    (222, 110, 30),
    (60, 150, 80),
    (150, 90, 170),
    (170, 140, 20),
    (110, 110, 110),
)
SCALE = 2  # pixels of the picture for each unit of the layout
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 20, 58, 50
_BAR_HEIGHT = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Points (x, y) in [0,1], in the order in which they are joined."""

    label: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A value in [0,1] with the ends of its interval, and a paler second value."""

    label: str
    value: float
    low: float
    high: float
    second: float


@dataclass(slots=True, kw_only=True)
class _Canvas:
    """A picture of width x height units with a frame for data inside."""

    width: int
    height: int
    left: int = _LEFT
    image: Image.Image = field(init=False)
    pen: ImageDraw.ImageDraw = field(init=False)

    def __post_init__(self) -> None:
        self.image = Image.new("RGB", (self.width * SCALE, self.height * SCALE), PAPER)
        self.pen = ImageDraw.Draw(self.image)

    def at(self, x: float, y: float) -> Point:
        """Pixels of a point of the unit square; y grows upwards."""
        across = self.left + x * (self.width - self.left - _RIGHT)
        down = self.height - _BOTTOM - y * (self.height - _TOP - _BOTTOM)
        return across * SCALE, down * SCALE

    def text(
        self, at: Point, words: str, *, anchor: str = "la", size: int = 13, color: Color = INK
    ) -> None:
        """Writes at a place in pixels; `anchor` as Pillow has it."""
        font = ImageFont.load_default(size * SCALE)
        self.pen.text(at, words, fill=color, font=font, anchor=anchor)

    def title(self, words: str) -> None:
        self.text((16 * SCALE, 12 * SCALE), words, size=15)

    def line(self, points: Sequence[Point], color: Color, *, width: float = 1) -> None:
        self.pen.line(list(points), fill=color, width=round(width * SCALE), joint="curve")

    def grid_x(self, label: str) -> None:
        for tick in range(0, 11, 2):
            x = self.at(tick / 10, 0)
            self.line([x, self.at(tick / 10, 1)], FAINT)
            self.text((x[0], x[1] + 6 * SCALE), f"{tick / 10:g}", anchor="ma", size=11, color=PALE)
        middle = self.at(0.5, 0)
        self.text((middle[0], middle[1] + 24 * SCALE), label, anchor="ma", size=12, color=PALE)

    def grid_y(self, ticks: Sequence[tuple[float, str]]) -> None:
        for height, words in ticks:
            y = self.at(0, height)
            self.line([y, self.at(1, height)], FAINT)
            self.text((y[0] - 6 * SCALE, y[1]), words, anchor="rm", size=11, color=PALE)

    def legend(self, labels: Sequence[str], *, x: float, y: float) -> None:
        for place, label in enumerate(labels):
            left, top = self.at(x, y)
            top += place * 19 * SCALE
            color = COLORS[place % len(COLORS)]
            self.line([(left, top), (left + 20 * SCALE, top)], color, width=3)
            self.text((left + 27 * SCALE, top), label, anchor="lm", size=12)


def line_plot(title: str, curves: Sequence[Curve], *, x_label: str, y_label: str) -> Image.Image:
    """Curves over the unit square, the legend at the lower left."""
    canvas = _Canvas(width=640, height=460)
    canvas.title(title)
    canvas.grid_x(x_label)
    canvas.grid_y([(tick / 10, f"{tick / 10:g}") for tick in range(0, 11, 2)])
    corner = canvas.at(0, 1)
    canvas.text((corner[0], corner[1] - 6 * SCALE), y_label, anchor="ls", size=12, color=PALE)
    for place, curve in reversed(list(enumerate(curves))):
        points = [canvas.at(*point) for point in curve.points]
        if len(points) > 1:
            canvas.line(points, COLORS[place % len(COLORS)], width=2.2 if place == 0 else 1.6)
    canvas.legend([curve.label for curve in curves], x=0.03, y=0.06 + 0.052 * (len(curves) - 1))
    return canvas.image


def histogram(
    title: str,
    groups: Sequence[tuple[str, Sequence[float]]],
    *,
    x_label: str,
    marks: Sequence[tuple[str, float]] = (),
    bins: int = 20,
) -> Image.Image:
    """Shares of each group in bins of [0,1], side by side; `marks` are vertical lines."""
    canvas = _Canvas(width=640, height=400)
    canvas.title(title)
    canvas.grid_x(x_label)
    canvas.grid_y([(tick / 4, f"{tick * 25} %") for tick in range(5)])
    for name, value in marks:
        canvas.line([canvas.at(value, 0), canvas.at(value, 1)], PALE)
        canvas.text(canvas.at(value, 1.01), name, anchor="ms", size=11, color=PALE)
    for place, (_, values) in enumerate(groups):
        _draw_shares(canvas, values, place=place, groups=len(groups), bins=bins)
    labels = [f"{name} ({len(values)})" for name, values in groups]
    canvas.legend(labels, x=0.09, y=0.9)
    return canvas.image


def bar_chart(title: str, bars: Sequence[Bar], *, x_label: str) -> Image.Image:
    """Horizontal bars: the paler one is `second`, the whisker the interval of `value`."""
    canvas = _Canvas(width=640, height=_TOP + _BOTTOM + _BAR_HEIGHT * len(bars), left=150)
    canvas.title(title)
    canvas.grid_x(x_label)
    for place, bar in enumerate(bars):
        middle = 1 - (place + 0.5) / len(bars)
        reach = 0.32 / len(bars)
        color = COLORS[0]
        pale = tuple(round(channel + (255 - channel) * 0.68) for channel in color)
        for value, fill in ((bar.second, pale), (bar.value, color)):
            if value > 0:
                corner, other = canvas.at(0, middle + reach), canvas.at(value, middle - reach)
                canvas.pen.rectangle((*corner, *other), fill=fill)
        canvas.line([canvas.at(bar.low, middle), canvas.at(bar.high, middle)], INK)
        label = canvas.at(0, middle)
        canvas.text((label[0] - 8 * SCALE, label[1]), bar.label, anchor="rm", size=12)
    return canvas.image


def _draw_shares(
    canvas: _Canvas, values: Sequence[float], *, place: int, groups: int, bins: int
) -> None:
    counts = [0] * bins
    for value in values:
        counts[min(int(value * bins), bins - 1)] += 1
    width = 0.84 / bins / groups
    for number, count in enumerate(counts):
        if count:
            left = (number + 0.08) / bins + place * width
            corner = canvas.at(left, count / len(values))
            canvas.pen.rectangle(
                (*corner, *canvas.at(left + width, 0)), fill=COLORS[place % len(COLORS)]
            )
