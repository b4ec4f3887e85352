"""Plots by matplotlib, which the extra `plots` brings. Pictures are drawn in memory; no state of
matplotlib is set.

Every function raises ExtraMissing where matplotlib is not installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dubl.errors import needs_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]

INK, PALE, FAINT = "#262b33", "#78808c", "#e2e5ea"
COLORS = ("#146ebe", "#de6e1e", "#3c9650", "#965aaa", "#aa8c14", "#6e6e6e")
WIDTH = 6.4  # inches
DPI = 200
BAR_HEIGHT = 0.2  # inches


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


def require_plots() -> None:
    """Raises ExtraMissing before work that ends with a plot."""
    _new_figure(1)


def line_plot(title: str, curves: Sequence[Curve], *, x_label: str, y_label: str) -> Figure:
    """Curves over the unit square, the first one on top."""
    figure, axes = _unit_plot(title, height=4.6, x_label=x_label)
    axes.set(ylim=(0, 1.02), ylabel=y_label)
    for place, curve in enumerate(curves):
        x, y = [point[0] for point in curve.points], [point[1] for point in curve.points]
        color = COLORS[place % len(COLORS)]
        axes.plot(x, y, color=color, label=curve.label, linewidth=1.8, zorder=9 - place)
    if curves:
        axes.legend(loc="lower left", frameon=False, fontsize=9)
    return figure


def histogram(
    title: str,
    groups: Sequence[tuple[str, Sequence[float]]],
    *,
    x_label: str,
    marks: Sequence[tuple[str, float]] = (),
    bins: int = 20,
) -> Figure:
    """Shares of each group in bins of [0,1], side by side; `marks` are vertical lines."""
    figure, axes = _unit_plot(title, height=4.0, x_label=x_label)
    axes.set(ylim=(0, 1), ylabel="share")
    for name, value in marks:
        axes.axvline(value, color=PALE, linewidth=0.8)
        axes.text(value, 1.01, name, ha="center", va="bottom", color=PALE, fontsize=9)
    axes.hist(
        [list(values) for _, values in groups],
        bins=bins,
        range=(0, 1),
        weights=[[1 / max(len(values), 1)] * len(values) for _, values in groups],
        color=COLORS[: len(groups)],
        label=[f"{name} ({len(values)})" for name, values in groups],
        zorder=2,
    )
    axes.legend(loc=(0.09, 0.8), frameon=False, fontsize=9)
    return figure


def bar_chart(title: str, bars: Sequence[Bar], *, x_label: str) -> Figure:
    """Horizontal bars: the paler one is `second`, the whisker the interval of `value`."""
    figure, axes = _unit_plot(title, height=1.0 + BAR_HEIGHT * len(bars), x_label=x_label)
    labels, values = [bar.label for bar in bars], [bar.value for bar in bars]
    axes.barh(labels, [bar.second for bar in bars], height=0.64, color="#b3d0e9", zorder=2)
    axes.barh(labels, values, height=0.64, color=COLORS[0], zorder=3)
    axes.hlines(labels, [one.low for one in bars], [one.high for one in bars], INK, zorder=4)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.tick_params(axis="y", colors=INK)
    axes.yaxis.grid(visible=False)
    return figure


def loss_curves(curves: Mapping[str, Sequence[float]]) -> Figure:
    """A row for each curve of at least two points, each in its own range."""
    shown = {name: values for name, values in curves.items() if len(values) > 1}
    figure = _new_figure(0.6 + 1.5 * max(len(shown), 1))
    rows = figure.subplots(max(len(shown), 1), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, values), color in zip(rows, shown.items(), COLORS, strict=False):
        _plain(axes)
        axes.plot(range(len(values)), values, color=color, linewidth=1.2)
        told = f"{name}: {values[0]:.3f} to {values[-1]:.3f}, lowest {min(values):.3f}"
        axes.set_title(told, loc="left", fontsize=9, color=INK)
    return figure


def _unit_plot(title: str, *, height: float, x_label: str) -> tuple[Figure, Axes]:
    """A figure with one plot, whose x axis is [0,1]."""
    figure = _new_figure(height)
    axes = figure.subplots()
    _plain(axes)
    axes.set_title(title, loc="left", fontsize=11, color=INK, pad=18)
    axes.set(xlim=(0, 1), xlabel=x_label)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=PALE, fontsize=9)
    return figure, axes


def _new_figure(height: float) -> Figure:
    with needs_extra():
        from matplotlib.figure import Figure
    figure = Figure(figsize=(WIDTH, height), dpi=DPI)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    return figure


def _plain(axes: Axes) -> None:
    """A faint grid without a frame."""
    axes.spines[:].set_visible(False)
    axes.grid(color=FAINT, zorder=0)
    axes.tick_params(length=0, colors=PALE, labelsize=9)
