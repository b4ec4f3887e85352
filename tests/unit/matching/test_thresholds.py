"""A library's thresholds follow what people decided, and few decisions move little."""

from __future__ import annotations

import numpy as np
import pytest

from dubl.errors import InvalidRequest
from dubl.matching.thresholds import fit_thresholds, precision_from
from dubl.settings import PolicySettings
from dubl.types import DecidedMatch

POLICY = PolicySettings(duplicate_probability=0.9, review_probability=0.5)


def decisions(count: int, *, shift: float, seed: int = 1) -> list[DecidedMatch]:
    """Matches whose true log odds are by `shift` above what the service says."""
    random = np.random.default_rng(seed)
    logits = random.normal(1.0, 2.0, count)
    copied = random.random(count) < 1 / (1 + np.exp(-(logits + shift)))
    said = 1 / (1 + np.exp(-logits))
    return [DecidedMatch(probability=p, copied=bool(c)) for p, c in zip(said, copied, strict=True)]


def test_a_library_full_of_look_alikes_gets_higher_thresholds() -> None:
    report = fit_thresholds(decisions(2000, shift=-2.0), POLICY)
    true = 1 / (1 + np.exp(-(np.log(9) + 2.0)))
    assert report.duplicate_probability == pytest.approx(true, abs=0.02)
    assert report.review_probability > 0.75
    assert report.log_loss_after < report.log_loss_before
    assert report.duplicate_after.low > report.duplicate_before.low


def test_a_library_without_rivals_gets_lower_ones() -> None:
    report = fit_thresholds(decisions(2000, shift=2.0), POLICY)
    assert report.duplicate_probability < 0.65


def test_where_the_service_is_right_little_changes() -> None:
    report = fit_thresholds(decisions(2000, shift=0.0), POLICY)
    assert report.duplicate_probability == pytest.approx(0.9, abs=0.03)


def test_few_decisions_move_less_than_many() -> None:
    few = fit_thresholds(decisions(30, shift=-2.0, seed=3), POLICY)
    many = fit_thresholds(decisions(2000, shift=-2.0), POLICY)
    assert abs(few.offset) < abs(many.offset)
    assert many.offset == pytest.approx(-2.0, abs=0.3)


def test_too_few_decisions_of_either_kind_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="29 decided matches"):
        fit_thresholds(decisions(29, shift=0.0), POLICY)
    copies = [DecidedMatch(probability=0.9, copied=True)] * 60
    with pytest.raises(InvalidRequest, match="5 copies and 5 non-copies"):
        fit_thresholds(copies, POLICY)


def test_nobody_was_asked_below_what_was_shown() -> None:
    shown = [one for one in decisions(2000, shift=2.0) if one.probability >= 0.5]
    report = fit_thresholds(shown, POLICY)
    assert report.review_probability >= 0.5
    assert report.review_probability <= report.duplicate_probability


def test_a_share_comes_with_its_interval() -> None:
    decided = [DecidedMatch(probability=0.9, copied=number < 9) for number in range(10)]
    found = precision_from(0.5, decided)
    assert (found.matches, found.copies) == (10, 9)
    assert (found.low, found.high) == pytest.approx((0.596, 0.982), abs=0.001)
    assert precision_from(0.95, decided).high == 1.0
