"""From pieces of evidence to a probability: a logistic function with fitted weights.

The coefficients belong to the network whose similarities they read: `calibration.json` stands
beside its weights, written by pipelines/calibrate.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from dubl.errors import WeightsUnavailable
from dubl.types import Float16Array

CALIBRATION_FILE = "calibration.json"
BACKGROUND_FILE = "background.npy"
# Of edited train clips, no sure copy stood out by less than .1; slides on one template by .04.
STANDS_OUT = 0.08
MIN_CHANCE = 1e-6
AGREEMENT_POWER = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks for a match, each number the higher the more.

    similarity: mean along the segment, in [0,1]; distinction: how far that is above what other
    references reach, in [-1,1] (rivals.py); motion: how surely both sides change alike, in [0,1];
    log_duration: ln(1 + its seconds); own_speed: 1 when it plays forwards at the reference's
    speed, as most copies do, else 0; comparator: the learned similarity (S2VS) of what the segment
    spans on both sides, in [0,1]. All 0 without a segment. shared_edge: it may be
    a shared intro or outro: both videos begin (or end) with it and go on (before) differently.
    """

    similarity: float = 0.0
    distinction: float = 0.0
    motion: float = 0.0
    log_duration: float = 0.0
    own_speed: float = 0.0
    comparator: float = 0.0
    shared_edge: bool = False


EVIDENCE_NAMES = (
    "similarity",
    "distinction",
    "motion",
    "log_duration",
    "own_speed",
    "comparator",
)


PIXEL_NAMES = ("intercept", "log_odds", "agreement")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Coefficients of the logistic function, and the similarity from which frames are alike.

    `edge_ceiling`: the most that a shared intro or outro can prove. `floor` and `level` are those
    of AlignmentOptions, in this network's similarities; `usual_rival` is what other references
    usually reach, for libraries that have too few to tell. `description` says on what it was
    fitted, `figures` how well. `background_sha256`: of the background bank it was fitted with,
    empty for none. `pixels`: what the agreement of pixels makes of a probability (`with_pixels`);
    without it pixels are not looked at.
    """

    intercept: float
    weights: dict[str, float]
    floor: float
    level: float
    usual_rival: float = 0.3
    edge_ceiling: float = 0.8
    background_sha256: str = ""
    pixels: dict[str, float] = field(default_factory=dict)
    description: str = ""
    figures: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = set(self.weights) - set(EVIDENCE_NAMES)
        if unknown:
            raise ValueError(f"no such evidence: {sorted(unknown)}")
        if self.pixels and self.pixels.keys() != set(PIXEL_NAMES):
            raise ValueError(f"pixels need {PIXEL_NAMES}, not {sorted(self.pixels)}")


def probability(evidence: Evidence, calibration: Calibration) -> float:
    """1 / (1 + exp(-(intercept + Σ weight · evidence))).

    At most `edge_ceiling` for a shared edge, and for what looks hardly more like this reference
    than like its rivals: what is black, a title or a slide may move alike everywhere.
    """
    values = asdict(evidence)
    total = calibration.intercept + sum(
        weight * values[name] for name, weight in calibration.weights.items()
    )
    return min(_logistic(total), ceiling(evidence, calibration))


def ceiling(evidence: Evidence, calibration: Calibration) -> float:
    """The most that whatever else speaks for the match may make of it. Pixels too: those of a
    shared edge agree, and a picture that turns black does so everywhere."""
    held_down = evidence.shared_edge or evidence.distinction < STANDS_OUT
    return calibration.edge_ceiling if held_down else 1.0


def pixel_evidence(chance: float, agreement: float) -> dict[str, float]:
    """What the weights of PIXEL_NAMES are for. Agreement counts by a high power: takes of one scene
    reach .6, where people move in the same way .9, and copies almost 1."""
    odds = min(max(chance, MIN_CHANCE), 1 - MIN_CHANCE)
    return {
        "intercept": 1.0,
        "log_odds": math.log(odds / (1 - odds)),
        "agreement": agreement**AGREEMENT_POWER,
    }


def with_pixels(chance: float, agreement: float, calibration: Calibration) -> float:
    """A probability once the agreement of pixels is known."""
    evidence = pixel_evidence(chance, agreement)
    return _logistic(sum(calibration.pixels[name] * evidence[name] for name in PIXEL_NAMES))


def _logistic(total: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, total))))


def load_calibration(path: Path) -> Calibration:
    """Raises WeightsUnavailable when the file is absent or does not hold a calibration."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Calibration(**content)
    except OSError as exc:
        raise WeightsUnavailable(f"cannot read {path}: {exc.strerror}") from exc
    except (TypeError, ValueError) as exc:
        raise WeightsUnavailable(f"{path} does not hold a calibration: {exc}") from exc


def save_calibration(calibration: Calibration, path: Path) -> None:
    path.write_text(json.dumps(asdict(calibration), indent=2) + "\n", encoding="utf-8")


def load_background(folder: Path, calibration: Calibration) -> Float16Array:
    """The background bank [B,D] beside a calibration, empty where it was fitted without one.

    Raises WeightsUnavailable when the file is absent or another one.
    """
    if not calibration.background_sha256:
        return np.zeros((0, 1), dtype=np.float16)
    path = folder / BACKGROUND_FILE
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise WeightsUnavailable(f"cannot read {path}: {exc.strerror}") from exc
    if hashlib.sha256(content).hexdigest() != calibration.background_sha256:
        raise WeightsUnavailable(f"{path} is not the bank that {CALIBRATION_FILE} was fitted with")
    background: Float16Array = np.load(io.BytesIO(content), allow_pickle=False)
    return background


def save_background(background: Float16Array, folder: Path) -> str:
    """Writes the bank [B,D]; returns its sha256."""
    buffer = io.BytesIO()
    np.save(buffer, background.astype(np.float16))
    (folder / BACKGROUND_FILE).write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()
