"""Figures come back from their files, and the table shows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.results import at_least, at_most, plain, skipped, write_figures


def test_the_table_has_every_figure_of_every_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    monkeypatch.setattr(results, "TABLE", tmp_path / "README.md")
    write_figures("one", [at_most("cost", 1.25, 1.5, unit="×", setup="a clip")])
    write_figures("two", [at_least("recall", 0.9, 0.95, unit="", setup="copies")])
    write_figures(
        "three", [plain("rate", 3, unit="1/s", setup=""), skipped("gpu", unit="", reason="none")]
    )
    text = (tmp_path / "README.md").read_text()
    assert "| cost | 1.25 × | ≤ 1.5 | yes | a clip |" in text
    assert "| recall | 0.9  | ≥ 0.95 | no | copies |" in text
    assert "| gpu | – |  |  | not measured: none |" in text
    (row,) = json.loads((tmp_path / "one.json").read_text())
    assert list(row) == ["name", "value", "unit", "aim", "met", "setup"]
