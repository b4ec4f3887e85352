"""From pieces of evidence to a probability: a logistic function with fitted weights.

The coefficients belong to the network whose similarities they read: `calibration.json` stands
beside its weights, written by pipelines/calibrate.py.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from dubl.errors import WeightsUnavailable

CALIBRATION_FILE = "calibration.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What speaks for a match, each value the higher the more.

    similarity: mean along the segment, in [0,1]; motion: how far both sides change alike, in
    [0,1]; log_duration: ln(1 + its seconds); inner: 1, or 0 for what may be a shared intro or
    outro. All 0 without a segment.
    """

    similarity: float = 0.0
    motion: float = 0.0
    log_duration: float = 0.0
    inner: float = 0.0


EVIDENCE_NAMES = tuple(item.name for item in fields(Evidence))


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Coefficients of the logistic function, and the similarity from which frames are alike.

    `floor` and `level` are those of AlignmentOptions, in this network's similarities.
    `description` says on what it was fitted, `figures` how well.
    """

    intercept: float
    weights: dict[str, float]
    floor: float
    level: float
    description: str = ""
    figures: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = set(self.weights) - set(EVIDENCE_NAMES)
        if unknown:
            raise ValueError(f"no such evidence: {sorted(unknown)}")


def probability(evidence: Evidence, calibration: Calibration) -> float:
    """1 / (1 + exp(-(intercept + Σ weight · evidence))), in [0,1]."""
    values = asdict(evidence)
    total = calibration.intercept + sum(
        weight * values[name] for name, weight in calibration.weights.items()
    )
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
