"""Probabilities follow the signals, and the fit recovers what made the labels."""

import math
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from dubl.errors import DublError, WeightsUnavailable
from dubl.matching.calibration import (
    Calibration,
    Signals,
    ceiling,
    limit,
    load_background,
    load_calibration,
    probability,
    save_background,
    save_calibration,
    with_pixels,
)
from dubl.matching.fitting import fit_weights, separation
from dubl.types import Limit

CALIBRATION = Calibration(
    intercept=-6.0,
    weights={
        "similarity": 7.0,
        "normalized_similarity": 3.0,
        "motion": 5.0,
        "log_duration": 0.4,
        "own_speed": 0.5,
    },
    floor=0.3,
    level=0.4,
    edge_ceiling=0.8,
)
SURE = Signals(
    similarity=0.99,
    normalized_similarity=0.6,
    motion=0.9,
    common_change=0.9,
    log_duration=3.0,
)


@pytest.mark.parametrize("name", CALIBRATION.weights)
def test_more_evidence_is_more_probable(name: str) -> None:
    levels = np.linspace(0.01, 1, 8)
    start = replace(SURE, similarity=0.5, normalized_similarity=0.2, motion=0.2, log_duration=1.0)
    chances = [probability(replace(start, **{name: level}), CALIBRATION) for level in levels]
    assert all(later > earlier for earlier, later in pairwise(chances))
    assert 0 < chances[0] < chances[-1] < 1


def test_without_a_segment_a_copy_is_improbable() -> None:
    assert probability(Signals(), CALIBRATION) < 0.01


@pytest.mark.parametrize("name", [field.name for field in fields(Signals)])
def test_what_is_not_a_number_is_no_proof(name: str) -> None:
    with pytest.raises(DublError, match="not a number"):
        probability(replace(SURE, **{name: math.nan}), CALIBRATION)
    with pytest.raises(DublError, match="not a number"):
        with_pixels(0.9, math.nan, 0.0, CALIBRATION)


def test_the_rule_that_holds_a_probability_down_is_told() -> None:
    told = {
        Limit.SHARED_EDGE: {"shared_edge": True, "common_change": 0.2},
        Limit.COMMON: {"normalized_similarity": 0.05},
        Limit.STILL: {"common_change": 0.2},
        None: {"motion": SURE.motion},
    }
    for rule, changes in told.items():
        assert limit(replace(SURE, **cast(Any, changes)), CALIBRATION) is rule


def test_a_shared_intro_alone_never_passes_the_ceiling() -> None:
    assert probability(SURE, CALIBRATION) > 0.99
    assert probability(replace(SURE, shared_edge=True), CALIBRATION) == 0.8


def test_stillness_alone_never_passes_the_ceiling_but_pixels_may() -> None:
    still = replace(SURE, common_change=0.2)
    assert probability(still, CALIBRATION) == 0.8
    assert ceiling(still, CALIBRATION) == 1.0


def test_a_calibration_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    save_calibration(CALIBRATION, path)
    assert load_calibration(path) == CALIBRATION


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"intercept": 1, "weights": {"beauty": 2}, "floor": 0, "level": 0}']
)
def test_what_is_no_calibration_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(WeightsUnavailable):
        load_calibration(path)


def test_an_absent_calibration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable):
        load_calibration(tmp_path / "calibration.json")


def drawn(count: int, *, sign: float = 1.0) -> tuple[list[Signals], list[bool]]:
    """Labels drawn from logit = 8 · similarity + sign · 4 · motion - 6."""
    rng = np.random.default_rng(0)
    similarity, motion = rng.uniform(size=(2, count))
    chance = 1 / (1 + np.exp(-(8 * similarity + sign * 4 * motion - 6)))
    labels = rng.uniform(size=count) < chance
    signals = [
        Signals(similarity=float(one), motion=float(other), log_duration=1.0)
        for one, other in zip(similarity, motion, strict=True)
    ]
    return signals, [bool(label) for label in labels]


def test_the_fit_recovers_the_weights_behind_the_labels() -> None:
    signals, labels = drawn(4000)
    _, weights = fit_weights(signals, labels, ridge=1e-5)
    assert weights["similarity"] == pytest.approx(8.0, rel=0.15)
    assert weights["motion"] == pytest.approx(4.0, rel=0.2)
    assert weights["log_duration"] == pytest.approx(0.0, abs=1e-6)


def test_evidence_that_speaks_against_copies_is_left_out() -> None:
    _, weights = fit_weights(*drawn(2000, sign=-1.0))
    assert weights["motion"] == 0
    assert weights["similarity"] > 0


def test_labels_of_one_kind_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="copies"):
        fit_weights([SURE, SURE], [True, True])


def test_separation_counts_what_lies_above() -> None:
    figures = separation([0.9, 0.2, 0.5, 0.1], [True, True, False, False])
    assert figures["auc"] == 0.75
    assert figures["copies_above_all_others"] == 0.5


def test_what_looks_like_anything_never_passes_the_ceiling() -> None:
    for little in (-0.1, 0.05):
        held = probability(replace(SURE, normalized_similarity=little), CALIBRATION)
        assert held == CALIBRATION.edge_ceiling


def test_pixels_settle_neither_a_shared_intro_nor_what_looks_like_anything() -> None:
    assert ceiling(SURE, CALIBRATION) == 1.0
    for held in (replace(SURE, shared_edge=True), replace(SURE, normalized_similarity=0.05)):
        assert ceiling(held, CALIBRATION) == CALIBRATION.edge_ceiling


def test_a_background_comes_back_only_for_its_calibration(tmp_path: Path) -> None:
    bank = np.eye(4, dtype=np.float16)
    digest = save_background(bank, tmp_path)
    fitted = replace(CALIBRATION, background_sha256=digest)
    assert np.array_equal(load_background(tmp_path, fitted), bank)
    assert len(load_background(tmp_path, CALIBRATION)) == 0
    save_background(2 * bank, tmp_path)
    with pytest.raises(WeightsUnavailable, match="differs from the bank"):
        load_background(tmp_path, fitted)
    (tmp_path / "background.npy").unlink()
    with pytest.raises(WeightsUnavailable, match="cannot read"):
        load_background(tmp_path, fitted)


PIXELS = replace(
    CALIBRATION, pixels={"intercept": -2.0, "log_odds": 1.2, "agreement": 5.0, "places": 3.0}
)


def test_pixels_that_agree_raise_a_probability_and_those_that_do_not_lower_it() -> None:
    chances = [with_pixels(0.5, agreement, 0.0, PIXELS) for agreement in np.linspace(0, 1, 6)]
    assert all(low < high for low, high in pairwise(chances))
    assert chances[0] < 0.5 < chances[-1]


def test_a_copy_under_text_that_agrees_in_nearly_all_places_is_no_less_probable() -> None:
    assert with_pixels(0.9, 0.75, 0.0, PIXELS) < 0.9 < with_pixels(0.9, 0.75, 0.65, PIXELS)


def test_a_calibration_from_before_places_is_used_as_it_is(tmp_path: Path) -> None:
    pixels = {name: PIXELS.pixels[name] for name in ("intercept", "log_odds", "agreement")}
    older = replace(PIXELS, pixels=pixels)
    save_calibration(older, tmp_path / "calibration.json")
    read = load_calibration(tmp_path / "calibration.json")
    assert with_pixels(0.5, 0.9, 0.8, read) == with_pixels(0.5, 0.9, 0.0, PIXELS)
    with pytest.raises(ValueError, match="pixels must have"):
        replace(PIXELS, pixels={"agreement": 1.0})


def test_what_pixels_are_worth_is_saved_with_the_calibration(tmp_path: Path) -> None:
    save_calibration(PIXELS, tmp_path / "calibration.json")
    assert load_calibration(tmp_path / "calibration.json") == PIXELS


def test_a_calibration_with_former_names_is_read(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    save_calibration(CALIBRATION, path)
    text = path.read_text().replace('"normalized_similarity"', '"distinction"')
    path.write_text(text.replace("usual_background", "usual_rival"))
    assert load_calibration(path) == CALIBRATION


def test_pixels_that_are_worth_something_unknown_are_refused() -> None:
    with pytest.raises(ValueError, match="pixels must have"):
        replace(CALIBRATION, pixels={"intercept": 1.0})
