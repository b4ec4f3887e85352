"""Quality does not fall: a small made suite gives the recorded figures, within their intervals.

What was recorded stands in quality.json. After a change that is meant to move it, new weights or a
new calibration, record it again and look at the difference before committing it:

    python -m tests.e2e.test_quality
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dubl.evaluation.attack_suite import SuiteOptions, write_suite
from dubl.evaluation.benchmark.findings import suite_figures
from dubl.evaluation.benchmark.run import run_suite
from dubl.evaluation.metrics.detection import Estimate
from dubl.evaluation.report.writing import figures_tree
from dubl.evaluation.suite import SuiteRoles
from dubl.footage.scenes import generate_library
from dubl.settings import load_settings

pytestmark = pytest.mark.slow
RECORD = Path(__file__).parent / "quality.json"
REFERENCES, STRANGERS, NEGATIVES = 8, 3, 2
EDITS = (
    "recode:0.4",
    "scale:0.5",
    "trim:0.5",
    "crop:0.4",
    "letterbox:0.4",
    "color:0.5",
    "logo:0.5",
    "speed:0.4",
    "splice:0.4",
    "text:0.4",
    "border:0.4",
    "blur:0.5",
    "noise:0.4",
    "stickers:0.3",
    "pip_over:0.4",
    "mirror",
)
SEED = 5
# What another processor's rounding may move; an interval has no width where all is right.
ROUNDING = 0.02
# Higher is better, and lower is better.
FLOORS = ("micro_ap", "strict_f1_duplicate", "strict_f1_review", "segment_ap", "vcsl_f1")
CEILINGS = ("false_positives_all_duplicate", "end_error_90_percent_s")


def measured(folder: Path) -> Mapping[str, Estimate]:
    """Makes the suite, asks about it in this process, and judges the answers."""
    clips = generate_library(
        folder / "clips",
        count=REFERENCES + STRANGERS + NEGATIVES,
        seed=SEED,
        size=(320, 180),
        shortest_s=6,
        longest_s=12,
    )
    roles = SuiteRoles(
        references=tuple(clips[:REFERENCES]),
        strangers=tuple(clips[REFERENCES:-NEGATIVES]),
        negatives=tuple(clips[-NEGATIVES:]),
    )
    options = SuiteOptions(edits=EDITS, per_reference=2, seed=SEED)
    truth = write_suite(folder / "suite", roles, options=options)
    settings = load_settings("configs/local.yaml")
    return suite_figures(run_suite(folder / "suite", truth, settings, home=folder / "home"))


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Estimate]:
    return measured(tmp_path_factory.mktemp("quality"))


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict[str, float]]:
    record: dict[str, dict[str, float]] = json.loads(RECORD.read_text())
    return record


@pytest.mark.parametrize("name", FLOORS)
def test_a_figure_does_not_fall_below_its_recorded_interval(
    name: str, figures: Mapping[str, Estimate], recorded: dict[str, dict[str, float]]
) -> None:
    assert figures[name].value >= recorded[name]["low"] - ROUNDING


@pytest.mark.parametrize("name", CEILINGS)
def test_an_error_does_not_rise_above_its_recorded_interval(
    name: str, figures: Mapping[str, Estimate], recorded: dict[str, dict[str, float]]
) -> None:
    assert figures[name].value <= recorded[name]["high"] + ROUNDING


def record() -> None:
    """Writes what is reached now to quality.json."""
    with TemporaryDirectory() as folder:
        tree = figures_tree(measured(Path(folder)))
    RECORD.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(RECORD.read_text(encoding="utf-8"))


if __name__ == "__main__":
    record()
