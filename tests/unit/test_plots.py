"""Plots show what they are given, and say what is needed where matplotlib is not installed."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from typer.testing import CliRunner

from dubl.errors import ExtraMissing
from dubl.plots import (
    COLORS,
    Bar,
    Curve,
    bar_chart,
    histogram,
    line_plot,
    loss_curves,
    require_plots,
)
from pipelines.train import app

CONFIG = Path(__file__).resolve().parents[2] / "configs/train_descriptor.yaml"


def pixels_of(figure: Figure, color: str) -> int:
    picture = io.BytesIO()
    figure.savefig(picture)
    shown = np.asarray(Image.open(picture).convert("RGB"))
    return int((shown == tuple(bytes.fromhex(color[1:]))).all(axis=2).sum())


def test_every_curve_group_and_bar_is_drawn() -> None:
    curves = [Curve(label="x", points=[(0, 1), (1, 1)]), Curve(label="y", points=[(0, 0), (1, 0)])]
    plot = line_plot("t", curves, x_label="x", y_label="y")
    shares = histogram("t", [("a", [0.1]), ("b", [0.9, 1.0])], x_label="p", marks=[("m", 0.5)])
    bars = [Bar(label="crop", value=0.5, low=0.2, high=0.8, second=0.7)]
    chart = bar_chart("t", bars, x_label="recall")
    losses = loss_curves({"a": [3.0, 2.0], "b": [1.0, 1.0], "too short": [1.0]})
    drawn = ((plot, COLORS[:2]), (shares, COLORS[:2]), (chart, COLORS[:1]), (losses, COLORS[:2]))
    for figure, colors in drawn:
        for color in colors:
            assert pixels_of(figure, color) > 500
    assert len(losses.axes) == 2


def test_plots_without_data_are_drawn() -> None:
    empty = histogram("t", [("a", []), ("b", [])], x_label="p")
    for figure in (empty, line_plot("t", [], x_label="x", y_label="y"), loss_curves({"a": []})):
        assert pixels_of(figure, "#ffffff") > 10_000


def test_without_matplotlib_the_extra_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ExtraMissing, match=r"dubl\[plots\]"):
        require_plots()
    arguments = ["descriptor", "--config", str(CONFIG), "--output", str(tmp_path / "run")]
    told = CliRunner().invoke(app, arguments)
    assert (told.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "dubl[plots]" in told.output
