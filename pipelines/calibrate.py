"""Fits the calibration of a model: from signals to the probability of a copy.

python -m pipelines.calibrate suite/ [suite2/ …] --weights dubl-compact --manifest manifest.json

A suite is a folder from pipelines.make_attacks. Its videos must not be used to test the result.
Every query is compared with its true references and with the most similar others; every copy also
with the others only, as a stranger. A logistic function is fitted to the signals. The figures are
of fits without footage of the same source, by the manifest (without one: of the same video).
`calibration.json` and the background bank, `background.npy`, are written beside the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dubl.assembly import feature_spec, make_decoder, make_embedder, weights_folder
from dubl.evaluation.suite_questions import Question, read_sources, suite_questions
from dubl.footage.cards import common_pictures
from dubl.matching.calibration import (
    CALIBRATION_FILE,
    Calibration,
    Signals,
    probability,
    save_background,
    save_calibration,
)
from dubl.matching.fitting import NoFeatures, fit_weights, separation
from dubl.matching.matrix import pair_matrix
from dubl.matching.reranker import ViSiLReranker
from dubl.matching.score_normalization import NO_BACKGROUND
from dubl.models.numpy_comparator import NumpyComparator
from dubl.ports import Comparator, Embedder
from dubl.settings import Settings, load_settings
from dubl.types import Float16Array, FrameClip, Segment, VideoFacts
from pipelines.cli.options import job

FLOOR_SHARE = 0.8
LEVEL_ABOVE_FLOOR = 0.05
BACKGROUND_PAIRS = 300
BANK_PICTURES = 1000
ROUNDS = 2
LEVELS = (0.5, 0.9)
# Which segment of a pair says most, before anything is fitted.
PRELIMINARY = Calibration(
    intercept=-8.0,
    weights={"similarity": 8.0, "motion": 8.0, "log_duration": 1.0, "comparator": 1.0},
    floor=0.0,
    level=0.0,
)


Suites = Annotated[list[Path], typer.Argument(help="folders written by pipelines.make_attacks")]
Weights = Annotated[str, typer.Option(help="name of shipped weights, or their folder")]
Start = Annotated[Path | None, typer.Option(help="settings to start from")]
Manifest = Annotated[Path | None, typer.Option(help="JSON: source_repo of each file")]
PerQuery = Annotated[int, typer.Option(help="references each query is compared with")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A question and one of its references, with the match of this pair."""

    question: Question
    reference: str
    segments: tuple[Segment, ...]
    signals: Signals

    @property
    def copy(self) -> bool:
        return self.question.copies(self.reference)


def background_floor(questions: Sequence[Question], comparator: Comparator) -> float:
    """Four fifths of the best frame similarity in the usual pair without a shared segment.

    Matching may find too much at this level; chance finds then get a low probability.
    """
    others = [
        (question.query, reference)
        for question in questions
        for name, reference in question.references.items()
        if not question.copies(name)
    ]
    unrelated = others[:: max(1, len(others) // BACKGROUND_PAIRS)]
    best = [
        float(pair_matrix(query, reference, comparator).similarity.max())
        for query, reference in unrelated
    ]
    return FLOOR_SHARE * float(np.median(best))


def compare_all(questions: Sequence[Question], reranker: ViSiLReranker) -> list[Compared]:
    """Compares each query with all its references at once, like the service."""
    return [
        Compared(question=question, reference=name, segments=one.segments, signals=one.signals)
        for question in questions
        for name, one in reranker.compare(question.query, question.references).items()
    ]


def fitted(compared: Sequence[Compared], preliminary: Calibration) -> Calibration:
    """The calibration fitted to the pairs.

    Possible shared intros are bounded by the ceiling and not used in the fit.
    """
    plain = [one for one in compared if not one.signals.shared_edge]
    intercept, weights = fit_weights([one.signals for one in plain], [one.copy for one in plain])
    return replace(
        preliminary,
        intercept=intercept,
        weights=weights,
        usual_background=usual_background(compared),
    )


def unseen_chances(compared: Sequence[Compared], preliminary: Calibration) -> list[float]:
    """The probability of each pair by a fit without its source."""
    fits = {
        source: fitted([one for one in compared if one.question.source != source], preliminary)
        for source in {one.question.source for one in compared}
    }
    return [probability(one.signals, fits[one.question.source]) for one in compared]


def figures_of(compared: Sequence[Compared], chances: Sequence[float]) -> dict[str, float]:
    """How well these probabilities separate copies from others, by pairs and by questions."""
    copies = [one.copy for one in compared]
    found = np.array([chance for chance, copy in zip(chances, copies, strict=True) if copy])
    others = np.array([chance for chance, copy in zip(chances, copies, strict=True) if not copy])
    highest: dict[int, float] = {}
    for one, chance in zip(compared, chances, strict=True):
        if not one.question.truth:
            key = id(one.question)
            highest[key] = max(chance, highest.get(key, 0.0))
    strangers = np.array(list(highest.values()))
    errors = [error for one in compared for error in end_errors(one)]
    figures = {
        **separation(chances, copies),
        **{f"copies_at_{level}": float((found >= level).mean()) for level in LEVELS},
        **{f"others_at_{level}": float((others >= level).mean()) for level in LEVELS},
        "strangers": float(len(strangers)),
        **{f"strangers_at_{level}": float((strangers >= level).mean()) for level in LEVELS},
        "highest_other": float(others.max()),
        "median_end_error_s": float(np.median(errors)),
        "end_error_90_percent_s": float(np.quantile(errors, 0.9)),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def usual_background(compared: Sequence[Compared]) -> float:
    """The usual background similarity along a copy."""
    found = [one.signals for one in compared if one.copy and one.segments]
    return float(np.median([one.similarity - one.normalized_similarity for one in found]))


def end_errors(compared: Compared) -> list[float]:
    """Distances of the four ends, in seconds, for pairs with one true and at least one found
    segment."""
    truth = [one for one in compared.question.truth if one.reference == compared.reference]
    if len(truth) != 1 or not compared.segments:
        return []
    (true,), found = truth, compared.segments[0]
    return [
        abs(found.query_start_s - true.q[0]),
        abs(found.query_end_s - true.q[1]),
        abs(found.reference_start_s - true.r[0]),
        abs(found.reference_end_s - true.r[1]),
    ]


def background_bank(embedder: Embedder, *, size: int = BANK_PICTURES) -> Float16Array:
    """Descriptors [size,D'] of pictures that many videos show."""
    side = embedder.spec.frame_size
    clip = FrameClip(
        frames=common_pictures(size, size=side),
        timestamps_s=np.arange(size, dtype=np.float64),
        views=np.zeros(size, dtype=np.uint8),
        facts=VideoFacts(duration_s=float(size), width=side, height=side),
    )
    return embedder.embed([clip])[0].descriptors


def calibrated(
    questions: Sequence[Question],
    comparator: Comparator,
    settings: Settings,
    *,
    description: str,
    background: Float16Array = NO_BACKGROUND,
) -> Calibration:
    """Compares all pairs and fits, then again with the segments preferred by the first fit."""
    floor = background_floor(questions, comparator)
    result = replace(PRELIMINARY, floor=floor, level=floor + LEVEL_ABOVE_FLOOR)
    for _ in range(ROUNDS):
        reranker = ViSiLReranker(NoFeatures(), comparator, result, settings.matching, background)
        compared = compare_all(questions, reranker)
        result = fitted(compared, result)
    figures = figures_of(compared, unseen_chances(compared, result))
    return replace(result, description=description, figures=figures)


def questions_of(
    suites: Sequence[Path], settings: Settings, manifest: Path | None, per_query: int
) -> dict[Path, list[Question]]:
    """The questions of each suite, with their features."""
    sources = read_sources(manifest) if manifest else {}
    with make_decoder(settings) as decoder:
        embedder = make_embedder(settings)
        return {
            suite: suite_questions(
                suite,
                settings,
                decoder=decoder,
                embedder=embedder,
                sources=sources,
                per_query=per_query,
            )
            for suite in suites
        }


def main(
    suites: Suites,
    weights: Weights,
    config: Start = None,
    manifest: Manifest = None,
    per_query: PerQuery = 10,
    out: Annotated[Path | None, typer.Option(help="folder to write to instead")] = None,
) -> None:
    """Writes calibration.json and background.npy beside the weights."""
    with job():
        settings = load_settings(config, [f"model.weights={weights}"])
        target = out or weights_folder(settings)
        found = questions_of(suites, settings, manifest, per_query)
        questions = [question for some in found.values() for question in some]
        background = background_bank(make_embedder(settings))
        space = feature_spec(settings).space_id
        result = calibrated(
            questions,
            NumpyComparator(weights_folder(settings)),
            settings,
            description=f"{len(questions)} questions of {len(suites)} attack suites, {space}",
            background=background,
        )
        result = replace(result, background_sha256=save_background(background, target))
        save_calibration(result, target / CALIBRATION_FILE)
    for name, value in {**result.weights, **result.figures}.items():
        typer.echo(f"{name:24} {value:.4f}")


if __name__ == "__main__":
    typer.run(main)
