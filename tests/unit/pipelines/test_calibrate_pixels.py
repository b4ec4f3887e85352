"""The fitted weights of the pixel correlation follow the labeled pairs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dubl.matching.calibration import Calibration, with_pixels
from pipelines.calibrate_pixels import Seen, figures_of, fit_pixels

CALIBRATION = Calibration(intercept=0.0, weights={}, floor=0.3, level=0.3)


def pairs(source: str, *, count: int = 12) -> list[Seen]:
    """Copies that agree and others that do not, all of them in doubt by their features."""
    copies = [Seen(chance=0.6, correlation=0.97, places=0.8, copy=True, source=source)] * count
    return [
        *copies,
        *[Seen(chance=0.6, correlation=0.3, places=0.0, copy=False, source=source)] * count,
    ]


def test_pairs_that_agree_become_probable_and_others_do_not() -> None:
    fitted = replace(CALIBRATION, pixels=fit_pixels([*pairs("a"), *pairs("b")]))
    assert with_pixels(0.6, 0.97, 0.8, fitted) > 0.9
    assert with_pixels(0.6, 0.3, 0.0, fitted) < 0.1


def test_copies_alone_teach_nothing() -> None:
    with pytest.raises(ValueError, match="copies and others"):
        fit_pixels([one for one in pairs("a") if one.copy])


def test_each_source_is_judged_by_a_fit_of_the_others() -> None:
    upside_down = [replace(one, copy=not one.copy) for one in pairs("odd", count=4)]
    figures = figures_of([*pairs("a"), *pairs("b"), *upside_down], CALIBRATION)
    assert figures["pairs"] == 56
    assert figures["copies"] == 28
    assert figures["copies_at_0.9_by_features"] == 0
    # Of "odd" the others agree, and what the rest teaches is wrong for it.
    assert figures["others_at_0.9_by_pixels"] == 4
    assert figures["copies_at_0.5_by_pixels"] == 24
