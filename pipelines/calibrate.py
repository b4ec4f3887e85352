"""Fits the calibration of a model: from pieces of evidence to the probability of a copy.

python -m pipelines.calibrate suite/ [suite2/ …] --weights dubl-compact

A suite is a folder as pipelines.make_attacks writes it. Its videos must not be those by which
the result is judged. Every query is compared with its true references and with those that look
most like it, and a logistic function is fitted to the evidence. `calibration.json` and the
background bank, `background.npy`, are written beside the weights.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dubl.assembly import (
    feature_spec,
    make_decoder,
    make_embedder,
    query_sampling,
    reference_sampling,
    weights_folder,
)
from dubl.errors import DublError, MediaError
from dubl.evaluation.suite_truth import QUERIES, REFERENCES, SuiteTruth, TrueMatch, load_truth
from dubl.matching.calibration import (
    CALIBRATION_FILE,
    Calibration,
    Evidence,
    probability,
    save_background,
    save_calibration,
)
from dubl.matching.fitting import fit_weights, separation
from dubl.matching.matrix import pair_matrix
from dubl.matching.reranker import ViSiLReranker
from dubl.matching.rivals import NO_BACKGROUND
from dubl.models.numpy_comparator import NumpyComparator
from dubl.ports import Comparator, Decoder, Embedder
from dubl.settings import Settings, load_settings
from dubl.training.common_pictures import common_pictures
from dubl.types import (
    Float16Array,
    FrameClip,
    Sampling,
    Segment,
    VideoFacts,
    VideoFeatures,
    VideoSource,
)

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

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A query with one reference; `truth` is empty when nothing is shared."""

    query_name: str
    reference_name: str
    attack: str
    query: VideoFeatures
    reference: VideoFeatures
    truth: tuple[TrueMatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A pair with what matching found in it."""

    pair: Pair
    segments: tuple[Segment, ...]
    evidence: Evidence


def embed_folder(
    folder: Path, names: Sequence[str], *, decoder: Decoder, embedder: Embedder, sampling: Sampling
) -> dict[str, VideoFeatures]:
    """Features of the files that decode, by name."""
    features: dict[str, VideoFeatures] = {}
    for name in names:
        path = folder / name
        source = VideoSource(path=str(path), sha256="", size_bytes=path.stat().st_size, name=name)
        try:
            clip = decoder.decode(source, sampling=sampling)
        except MediaError as exc:
            logger.warning("%s is left out: %s", name, exc.detail)
            continue
        features[name] = embedder.embed([clip])[0]
    return features


def choose_pairs(
    truth: SuiteTruth,
    queries: Mapping[str, VideoFeatures],
    references: Mapping[str, VideoFeatures],
    *,
    per_query: int,
) -> Iterator[Pair]:
    """Each query with its true references and the `per_query` with the nearest frames."""
    for name, query in queries.items():
        facts = truth.queries[name]
        shared = {match.reference for match in facts.matches}
        scores = {other: _nearness(query, features) for other, features in references.items()}
        chosen = set(sorted(scores, key=lambda other: -scores[other])[:per_query])
        for other in sorted(chosen | (shared & references.keys())):
            yield Pair(
                query_name=name,
                reference_name=other,
                attack=facts.attack,
                query=query,
                reference=references[other],
                truth=tuple(match for match in facts.matches if match.reference == other),
            )


def background_floor(pairs: Sequence[Pair], comparator: Comparator) -> float:
    """Four fifths of the best similarity of two frames in the usual pair that shares nothing.

    Matching may find more than there is: what it finds by chance gets a low probability.
    """
    others = [pair for pair in pairs if not pair.truth]
    unrelated = others[:: max(1, len(others) // BACKGROUND_PAIRS)]
    best = [
        float(pair_matrix(pair.query, pair.reference, comparator).similarity.max())
        for pair in unrelated
    ]
    return FLOOR_SHARE * float(np.median(best))


def compare_all(pairs: Sequence[Pair], reranker: ViSiLReranker) -> list[Compared]:
    """Compares each query with its references as the service would: all of them at once."""
    compared = []
    for _, group in groupby(pairs, key=lambda pair: id(pair.query)):
        asked = list(group)
        references = {pair.reference_name: pair.reference for pair in asked}
        found = reranker.compare(asked[0].query, references)
        for pair in asked:
            result = found[pair.reference_name]
            compared.append(Compared(pair=pair, segments=result.segments, evidence=result.evidence))
    return compared


def fitted(
    compared: Sequence[Compared], preliminary: Calibration, *, description: str
) -> Calibration:
    """The calibration that the pairs call for, with its figures on those same pairs.

    What may be a shared intro is held down by the ceiling and has no say in the weights.
    """
    evidence = [one.evidence for one in compared]
    copies = [bool(one.pair.truth) for one in compared]
    plain = [one for one in compared if not one.evidence.shared_edge]
    intercept, weights = fit_weights(
        [one.evidence for one in plain], [bool(one.pair.truth) for one in plain]
    )
    result = replace(
        preliminary,
        intercept=intercept,
        weights=weights,
        usual_rival=usual_rival(compared),
        description=description,
    )
    chances = [probability(one, result) for one in evidence]
    others = [chance for chance, copy in zip(chances, copies, strict=True) if not copy]
    found = [chance for chance, copy in zip(chances, copies, strict=True) if copy]
    errors = [error for one in compared for error in end_errors(one)]
    figures = {
        **separation(chances, copies),
        **{f"copies_at_{level}": float(np.mean(np.array(found) >= level)) for level in LEVELS},
        **{f"others_at_{level}": float(np.mean(np.array(others) >= level)) for level in LEVELS},
        "highest_other": max(others),
        "median_end_error_s": float(np.median(errors)),
        "end_error_90_percent_s": float(np.quantile(errors, 0.9)),
    }
    return replace(result, figures={name: round(value, 4) for name, value in figures.items()})


def usual_rival(compared: Sequence[Compared]) -> float:
    """What other references usually reach along a copy."""
    found = [one.evidence for one in compared if one.pair.truth and one.segments]
    return float(np.median([one.similarity - one.distinction for one in found]))


def end_errors(compared: Compared) -> list[float]:
    """Distances of the four ends in seconds, where one segment is true and one or more found."""
    if len(compared.pair.truth) != 1 or not compared.segments:
        return []
    truth, found = compared.pair.truth[0], compared.segments[0]
    return [
        abs(found.query_start_s - truth.q[0]),
        abs(found.query_end_s - truth.q[1]),
        abs(found.reference_start_s - truth.r[0]),
        abs(found.reference_end_s - truth.r[1]),
    ]


def suite_pairs(
    suite: Path, settings: Settings, embedder: Embedder, *, per_query: int
) -> list[Pair]:
    """Decodes and embeds a suite and chooses its pairs."""
    truth, decoder = load_truth(suite), make_decoder(settings)
    references = embed_folder(
        suite / REFERENCES,
        truth.references,
        decoder=decoder,
        embedder=embedder,
        sampling=reference_sampling(settings),
    )
    queries = embed_folder(
        suite / QUERIES,
        list(truth.queries),
        decoder=decoder,
        embedder=embedder,
        sampling=query_sampling(settings),
    )
    return list(choose_pairs(truth, queries, references, per_query=per_query))


def background_bank(embedder: Embedder, *, size: int = BANK_PICTURES) -> Float16Array:
    """Descriptors [size,D] of pictures that many videos show."""
    pictures = common_pictures(size, size=embedder.spec.frame_size)
    side = embedder.spec.frame_size
    clip = FrameClip(
        frames=pictures,
        timestamps_s=np.arange(size, dtype=np.float64),
        views=np.zeros(size, dtype=np.uint8),
        facts=VideoFacts(
            duration_s=float(size),
            width=side,
            height=side,
            rotation_deg=0,
            codec="",
            container="",
            frame_rate_hz=1.0,
            backend="",
        ),
    )
    return embedder.embed([clip])[0].descriptors


def calibrated(
    pairs: Sequence[Pair],
    comparator: Comparator,
    settings: Settings,
    *,
    description: str,
    background: Float16Array = NO_BACKGROUND,
) -> Calibration:
    """Compares all pairs and fits, once more with the segments that the first fit prefers."""
    floor = background_floor(pairs, comparator)
    result = replace(PRELIMINARY, floor=floor, level=floor + LEVEL_ABOVE_FLOOR)
    for _ in range(ROUNDS):
        reranker = ViSiLReranker(_NoFeatures(), comparator, result, settings.matching, background)
        result = fitted(compare_all(pairs, reranker), result, description=description)
    return result


def _nearness(query: VideoFeatures, reference: VideoFeatures) -> float:
    cosines = query.descriptors.astype(np.float32) @ reference.descriptors.astype(np.float32).T
    return float(cosines.max())


class _NoFeatures:
    """Pairs come with their features; nothing is looked up."""

    def read_features(self, reference_ids: Sequence[str]) -> Mapping[str, VideoFeatures]:
        raise LookupError(f"no features are stored here: {reference_ids}")


def main(
    suites: Annotated[list[Path], typer.Argument(help="folders written by pipelines.make_attacks")],
    weights: Annotated[str, typer.Option(help="name of shipped weights, or their folder")],
    config: Annotated[Path | None, typer.Option(help="settings to start from")] = None,
    per_query: Annotated[int, typer.Option(help="references each query is compared with")] = 10,
    out: Annotated[Path | None, typer.Option(help="folder to write to instead")] = None,
) -> None:
    """Writes calibration.json and background.npy beside the weights."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        settings = load_settings(config, [f"model.weights={weights}"])
        folder = weights_folder(settings)
        embedder = make_embedder(settings)
        pairs = [
            pair
            for suite in suites
            for pair in suite_pairs(suite, settings, embedder, per_query=per_query)
        ]
        comparator = NumpyComparator(folder)
        spec = feature_spec(settings)
        background = background_bank(embedder)
        calibration = calibrated(
            pairs,
            comparator,
            settings,
            description=f"{len(pairs)} pairs of {len(suites)} attack suites, {spec.space_id}",
            background=background,
        )
        digest = save_background(background, out or folder)
        calibration = replace(calibration, background_sha256=digest)
        save_calibration(calibration, (out or folder) / CALIBRATION_FILE)
    except DublError as exc:
        typer.echo(f"{exc.code}: {exc.detail} {exc.hint}", err=True)
        raise typer.Exit(code=2) from exc
    for name, value in {**calibration.weights, **calibration.figures}.items():
        typer.echo(f"{name:24} {value:.4f}")


if __name__ == "__main__":
    typer.run(main)
