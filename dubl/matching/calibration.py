"""The probability that a match is a copy: a logistic function of a few signals.

The coefficients belong to one network. They stand in `calibration.json` beside its weights, written
by pipelines/calibrate.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from dubl.errors import DublError, WeightsUnavailable
from dubl.types import Float16Array, Limit, Term, log_odds

CALIBRATION_FILE = "calibration.json"
BACKGROUND_FILE = "background.npy"

CORRELATION_POWER = 8  # exponent; chosen, see pixel_signals
# Names in calibration files that were written before the renaming.
FORMER_NAMES = {"distinction": "normalized_similarity", "usual_rival": "usual_background"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """The inputs of the probability. A higher number speaks more for a copy; 0 without a segment.

    similarity: mean along the segment, in [0,1].
    normalized_similarity: `similarity` minus that of the background, in [-1,1]
    (score_normalization.py).
    motion: how surely both sides change alike, in [0,1] (motion.py).
    log_duration: ln(1 + seconds of the segment).
    own_speed: 1 when the copy plays forwards at the reference's speed, else 0.
    comparator: learned similarity (S2VS) of both sides of the segment, in [0,1].
    common_change: the part of `motion` that does not come from stillness, in [0,1].
    shared_edge: the segment may be a shared intro or outro. Both videos begin (or end) with it, and
    the rest of them differs.
    """

    similarity: float = 0.0
    normalized_similarity: float = 0.0
    motion: float = 0.0
    log_duration: float = 0.0
    own_speed: float = 0.0
    comparator: float = 0.0
    common_change: float = 0.0
    shared_edge: bool = False


SIGNAL_NAMES = (
    "similarity",
    "normalized_similarity",
    "motion",
    "log_duration",
    "own_speed",
    "comparator",
)


PIXEL_NAMES = ("intercept", "log_odds", "agreement", "places")
OLDER_PIXEL_NAMES = PIXEL_NAMES[:3]  # of files from before places were weighed


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Coefficients of the logistic function, and thresholds in similarities of one network.

    All thresholds that decide an outcome are here or in PolicySettings.

    intercept, weights: of the signals in SIGNAL_NAMES.
    floor, level: as in AlignmentOptions, in similarities of this network.
    usual_background: similarity of the background in libraries too small to measure it.
    edge_ceiling: highest probability of a shared intro or outro, or of a match with less than
    `min_normalized_similarity`. Measured on edited train clips: no sure copy had less than .1,
    slides of one template had .04.
    min_common_change: with less, the probability from features is at most `edge_ceiling`. Measured
    on train clips: 4 of 70 sure copies had less, most of them wholly still; the most probable
    non-copies had .3 to .7.
    sure_motion: motion signal of a sure copy, which does not raise the background of others.
    Measured: no non-copy was above it.
    background_sha256: of the background bank that was used for fitting; empty: none.
    pixels: weights of PIXEL_NAMES (see `with_pixels`); empty: pixels are not compared.
    description, figures: the data of the fit, and its quality.
    """

    intercept: float
    weights: dict[str, float]
    floor: float
    level: float
    usual_background: float = 0.3
    edge_ceiling: float = 0.8
    min_normalized_similarity: float = 0.08
    min_common_change: float = 0.65
    sure_motion: float = 0.6
    background_sha256: str = ""
    pixels: dict[str, float] = field(default_factory=dict)
    description: str = ""
    figures: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = set(self.weights) - set(SIGNAL_NAMES)
        if unknown:
            raise ValueError(f"weights has unknown signals: {sorted(unknown)}")
        if self.pixels and self.pixels.keys() not in ({*PIXEL_NAMES}, {*OLDER_PIXEL_NAMES}):
            raise ValueError(f"pixels must have {PIXEL_NAMES}, has {sorted(self.pixels)}")


def probability(signals: Signals, calibration: Calibration) -> float:
    """1 / (1 + exp(-(intercept + Σ weight · signal))), at most `edge_ceiling` where a limit holds.

    Without enough common change one does: two still pictures may be the same, and the videos not.
    Pixels may raise it again. Raises DublError for a signal that is NaN.
    """
    chance = unlimited(terms(signals, calibration))
    return chance if limit(signals, calibration) is None else min(chance, calibration.edge_ceiling)


def terms(signals: Signals, calibration: Calibration) -> tuple[Term, ...]:
    """The intercept ("base") and what each signal adds to it. Raises DublError for a NaN."""
    values = asdict(signals)
    # No comparison holds for what is not a number: it would be surer than anything.
    if any(math.isnan(value) for value in values.values()):
        raise DublError("a signal of the match is not a number")
    base = Term(name="base", value=1.0, log_odds=calibration.intercept)
    weighed = {name: weight for name, weight in calibration.weights.items() if weight}
    return (
        base,
        *(
            Term(name=name, value=values[name], log_odds=weight * values[name])
            for name, weight in weighed.items()
        ),
    )


def unlimited(added: Sequence[Term]) -> float:
    """The probability by all terms."""
    return _logistic(sum(one.log_odds for one in added))


def limit(signals: Signals, calibration: Calibration) -> Limit | None:
    """The rule by which features alone lead to at most `edge_ceiling`."""
    lasting = lasting_limit(signals, calibration)
    still = signals.common_change < calibration.min_common_change
    return Limit.STILL if lasting is None and still else lasting


def lasting_limit(signals: Signals, calibration: Calibration) -> Limit | None:
    """The rule by which also pixels lead to at most `edge_ceiling`.

    A shared intro or outro, or a match hardly more similar than the background: black frames,
    titles and slides move alike in every video.
    """
    if signals.shared_edge:
        return Limit.SHARED_EDGE
    common = signals.normalized_similarity < calibration.min_normalized_similarity
    return Limit.COMMON if common else None


def ceiling(signals: Signals, calibration: Calibration) -> float:
    """Highest probability that this match may get, also from its pixels."""
    return 1.0 if lasting_limit(signals, calibration) is None else calibration.edge_ceiling


def pixel_signals(chance: float, correlation: float, places: float) -> dict[str, float]:
    """The values that the weights of PIXEL_NAMES multiply.

    `correlation`: of the pixels, in [0,1]. A high power of it separates copies (almost 1)
    from takes of one scene (.6; .9 where people move in the same way). `places`: the correlation,
    in [0,1], that nearly all places reach; 0 if they prove nothing.
    """
    return {
        "intercept": 1.0,
        "log_odds": log_odds(chance),
        "agreement": correlation**CORRELATION_POWER,
        "places": places,
    }


def with_pixels(
    chance: float, correlation: float, places: float, calibration: Calibration
) -> float:
    """The probability `chance`, corrected by the pixel correlations; all in [0,1]."""
    if math.isnan(chance) or math.isnan(correlation) or math.isnan(places):
        raise DublError("a signal of the pixels is not a number")
    signals = pixel_signals(chance, correlation, places)
    return _logistic(sum(weight * signals[name] for name, weight in calibration.pixels.items()))


def _logistic(total: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, total))))


def load_calibration(path: Path) -> Calibration:
    """Raises WeightsUnavailable when the file is absent or does not hold a calibration."""
    try:
        return Calibration(**json.loads(path.read_text(encoding="utf-8"), object_hook=_renamed))
    except OSError as exc:
        raise WeightsUnavailable(f"cannot read {path}: {exc.strerror}") from exc
    except (TypeError, ValueError) as exc:
        raise WeightsUnavailable(f"{path} does not hold a calibration: {exc}") from exc


def _renamed(content: dict[str, object]) -> dict[str, object]:
    return {FORMER_NAMES.get(name, name): value for name, value in content.items()}


def save_calibration(calibration: Calibration, path: Path) -> None:
    path.write_text(json.dumps(asdict(calibration), indent=2) + "\n", encoding="utf-8")


def load_background(folder: Path, calibration: Calibration) -> Float16Array:
    """The background bank beside a calibration, float16 [B,D']; empty if it was fitted without one.

    Raises WeightsUnavailable when the file is absent or differs from the one used for fitting.
    """
    if not calibration.background_sha256:
        return np.zeros((0, 1), dtype=np.float16)
    path = folder / BACKGROUND_FILE
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise WeightsUnavailable(f"cannot read {path}: {exc.strerror}") from exc
    if hashlib.sha256(content).hexdigest() != calibration.background_sha256:
        raise WeightsUnavailable(
            f"{path} differs from the bank that {CALIBRATION_FILE} was fitted with. "
            "Restore the file, or run pipelines.calibrate again."
        )
    background: Float16Array = np.load(io.BytesIO(content), allow_pickle=False)
    return background


def save_background(background: Float16Array, folder: Path) -> str:
    """Writes the bank [B,D'] as float16 and returns its sha256."""
    buffer = io.BytesIO()
    np.save(buffer, background.astype(np.float16))
    (folder / BACKGROUND_FILE).write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()
