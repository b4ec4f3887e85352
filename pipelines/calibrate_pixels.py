"""Fits the weights of the pixel correlation in a calibration.

python -m pipelines.calibrate_pixels suite/ [suite2/ …] --weights dubl-compact

The existing calibration gives the probability of each pair (pipelines.calibrate). The pixels of
doubtful pairs and of copies are compared like in the service. `pixels` in `calibration.json` is
replaced. The figures are of fits without footage of the same source.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import typer

from dubl.assembly import (
    make_decoder,
    reference_sampling,
    weights_folder,
)
from dubl.errors import DublError
from dubl.evaluation.suite import QUERIES, REFERENCES
from dubl.evaluation.suite_questions import video_of
from dubl.matching.calibration import (
    CALIBRATION_FILE,
    PIXEL_NAMES,
    Calibration,
    ceiling,
    load_background,
    load_calibration,
    pixel_signals,
    probability,
    save_calibration,
    with_pixels,
)
from dubl.matching.fitting import NoFeatures, fit_logistic
from dubl.matching.reranker import ViSiLReranker
from dubl.matching.verification import PixelCorrelation, correlations_of, shown_along
from dubl.media.evidence_store import EvidenceStore
from dubl.models.numpy_comparator import NumpyComparator
from dubl.ports import Decoder
from dubl.settings import EvidenceSettings, Settings, load_settings
from dubl.types import Float64Array
from pipelines.calibrate import (
    Compared,
    Manifest,
    PerQuery,
    Start,
    Suites,
    Weights,
    compare_all,
    questions_of,
)
from pipelines.cli.options import job

MIN_CHANCE = 0.02
RIDGE = 4e-4
LEVELS = (0.5, 0.9)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A pair whose pixels were compared; `chance` is its probability by features."""

    chance: float
    correlation: float
    places: float
    copy: bool
    source: str


def look_at_pixels(
    suite: Path,
    compared: Sequence[Compared],
    calibration: Calibration,
    settings: Settings,
    decoder: Decoder,
) -> list[Seen]:
    """Pairs of a suite that may be copies by their features, and have a pixel correlation."""
    seen: list[Seen] = []
    with tempfile.TemporaryDirectory() as folder:
        store = EvidenceStore(Path(folder), EvidenceSettings(keep_videos=False), spool_dir=suite)
        known: set[str] = set()
        for one in compared:
            chance = probability_of(one, calibration)
            if chance < MIN_CHANCE or ceiling(one.signals, calibration) < 1.0:
                continue
            if one.reference not in known:
                source = video_of(suite / REFERENCES, one.reference)
                clip = decoder.decode(source, sampling=reference_sampling(settings))
                store.keep_reference(one.reference, source, clip)
                known.add(one.reference)
            correlation = _correlation(one, suite, store, decoder)
            if correlation is not None:
                seen.append(
                    Seen(
                        chance=chance,
                        correlation=correlation.value,
                        places=correlation.places,
                        copy=one.copy,
                        source=one.question.source,
                    )
                )
    return seen


def fit_pixels(seen: Sequence[Seen]) -> dict[str, float]:
    """Fits the weights, with the suites' share of copies among doubtful pairs.

    Raises ValueError unless both labels occur.
    """
    pieces = [pixel_signals(one.chance, one.correlation, one.places) for one in seen]
    names = [name for name in PIXEL_NAMES if name != "intercept"]
    values: Float64Array = np.array([[one[name] for name in names] for one in pieces])
    target = np.array([one.copy for one in seen], dtype=np.float64)
    if not 0 < target.sum() < len(target):
        raise ValueError("fitting needs copies and others")
    intercept, weights = fit_logistic(values, target, np.ones(len(target)), RIDGE)
    fitted = {"intercept": intercept, **dict(zip(names, weights.tolist(), strict=True))}
    return {name: round(value, 4) for name, value in fitted.items()}


def figures_of(seen: Sequence[Seen], calibration: Calibration) -> dict[str, float]:
    """Copies and others at the usual levels, by features only, and by fits without the pair's
    source."""
    fits = {
        source: replace(
            calibration, pixels=fit_pixels([one for one in seen if one.source != source])
        )
        for source in {one.source for one in seen}
    }
    after = np.array(
        [with_pixels(one.chance, one.correlation, one.places, fits[one.source]) for one in seen]
    )
    before = np.array([one.chance for one in seen])
    copy = np.array([one.copy for one in seen])
    figures = {"pairs": float(len(seen)), "copies": float(copy.sum())}
    for level in LEVELS:
        for name, chances in (("features", before), ("pixels", after)):
            figures[f"copies_at_{level}_by_{name}"] = float((chances[copy] >= level).sum())
            figures[f"others_at_{level}_by_{name}"] = float((chances[~copy] >= level).sum())
    for name, chances in (("features", before), ("pixels", after)):
        right = np.where(copy, chances, 1 - chances)
        figures[f"log_loss_by_{name}"] = round(float(-np.log(np.maximum(right, 1e-9)).mean()), 4)
    return figures


def probability_of(compared: Compared, calibration: Calibration) -> float:
    return probability(compared.signals, calibration) if compared.segments else 0.0


def _correlation(
    one: Compared, suite: Path, store: EvidenceStore, decoder: Decoder
) -> PixelCorrelation | None:
    shown = {one.reference: shown_along(one.segments[0], one.reference, store)}
    source = video_of(suite / QUERIES, one.question.name)
    try:
        return correlations_of(source, shown, decoder).get(one.reference)
    except DublError as exc:
        logger.warning("%s was skipped: %s", source.name, exc.detail)
        return None


def main(
    suites: Suites,
    weights: Weights,
    config: Start = None,
    manifest: Manifest = None,
    per_query: PerQuery = 10,
) -> None:
    """Updates calibration.json beside the weights."""
    with job():
        settings = load_settings(config, [f"model.weights={weights}"])
        folder = weights_folder(settings)
        calibration = load_calibration(folder / CALIBRATION_FILE)
        reranker = ViSiLReranker(
            NoFeatures(),
            NumpyComparator(folder),
            calibration,
            settings.matching,
            load_background(folder, calibration),
        )
        seen = []
        with make_decoder(settings) as decoder:
            for suite, some in questions_of(suites, settings, manifest, per_query).items():
                compared = compare_all(some, reranker)
                seen += look_at_pixels(suite, compared, calibration, settings, decoder)
        result = replace(calibration, pixels=fit_pixels(seen))
        figures = figures_of(seen, calibration)
        save_calibration(result, folder / CALIBRATION_FILE)
    for name, value in {**result.pixels, **figures}.items():
        typer.echo(f"{name:28} {value:.4f}")


if __name__ == "__main__":
    typer.run(main)
