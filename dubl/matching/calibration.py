"""From pieces of evidence to a probability: a logistic function with fitted weights.

The coefficients belong to the network whose similarities they read: `calibration.json` stands
beside its weights, written by pipelines/calibrate.py.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dubl.errors import WeightsUnavailable

CALIBRATION_FILE = "calibration.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks for a match, each number the higher the more.

    similarity: mean along the segment, in [0,1]; motion: how far both sides change alike, in
    [0,1]; log_duration: ln(1 + its seconds); own_speed: 1 when it plays forwards at the
    reference's speed, as most copies do, else 0; comparator: the learned similarity (S2VS) of what
    the segment spans on both sides, in [0,1]. All 0 without a segment. shared_edge: it may be
    a shared intro or outro: both videos begin (or end) with it and go on (before) differently.
    """

    similarity: float = 0.0
    motion: float = 0.0
    log_duration: float = 0.0
    own_speed: float = 0.0
    comparator: float = 0.0
    shared_edge: bool = False


EVIDENCE_NAMES = ("similarity", "motion", "log_duration", "own_speed", "comparator")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Coefficients of the logistic function, and the similarity from which frames are alike.

    `edge_ceiling`: the most that a shared intro or outro can prove. `floor` and `level` are those
    of AlignmentOptions, in this network's similarities. `description` says on what it was fitted,
    `figures` how well.
    """

    intercept: float
    weights: dict[str, float]
    floor: float
    level: float
    edge_ceiling: float = 0.8
    description: str = ""
    figures: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = set(self.weights) - set(EVIDENCE_NAMES)
        if unknown:
            raise ValueError(f"no such evidence: {sorted(unknown)}")


def probability(evidence: Evidence, calibration: Calibration) -> float:
    """1 / (1 + exp(-(intercept + Σ weight · evidence))), at most `edge_ceiling` for an edge."""
    values = asdict(evidence)
    total = calibration.intercept + sum(
        weight * values[name] for name, weight in calibration.weights.items()
    )
    chance = 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, total))))
    return min(chance, calibration.edge_ceiling) if evidence.shared_edge else chance


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
