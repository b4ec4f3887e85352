"""The questions of an attack suite with their features, to which a calibration is fitted."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dubl.assembly import query_sampling, reference_sampling
from dubl.errors import InvalidRequest, MediaError
from dubl.evaluation.suite import QUERIES, REFERENCES, SuiteTruth, TrueMatch, load_truth
from dubl.footage.edits.registry import UNSEEN
from dubl.media.sources import local_source
from dubl.ports import Decoder, Embedder
from dubl.settings import Settings
from dubl.types import Sampling, VideoFeatures, VideoSource

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A query and the references that it is compared with.

    truth: the shared segments; empty for a query that copies nothing. source: the source of its
    footage, so that a fit can be tested on unseen footage.
    """

    name: str
    attack: str
    source: str
    query: VideoFeatures
    references: Mapping[str, VideoFeatures]
    truth: tuple[TrueMatch, ...]

    def copies(self, reference: str) -> bool:
        return any(match.reference == reference for match in self.truth)


def suite_questions(
    suite: Path,
    settings: Settings,
    *,
    decoder: Decoder,
    embedder: Embedder,
    sources: Mapping[str, str],
    per_query: int,
) -> list[Question]:
    """Decodes and embeds a suite and chooses the references of each query.

    Raises InvalidRequest for a suite with edits that nothing may be fitted to.
    """
    truth = load_truth(suite)
    unseen = UNSEEN.keys() & {query.attack for query in truth.queries.values()}
    if unseen:
        raise InvalidRequest(f"{suite} has edits for measuring alone: {', '.join(sorted(unseen))}")
    references = _embedded(
        suite / REFERENCES, truth.references, decoder, embedder, reference_sampling(settings)
    )
    queries = _embedded(
        suite / QUERIES, list(truth.queries), decoder, embedder, query_sampling(settings)
    )
    return list(choose_questions(truth, queries, references, sources=sources, per_query=per_query))


def choose_questions(
    truth: SuiteTruth,
    queries: Mapping[str, VideoFeatures],
    references: Mapping[str, VideoFeatures],
    *,
    sources: Mapping[str, str],
    per_query: int,
) -> Iterator[Question]:
    """Each query with its true references and the `per_query` with the nearest frames.

    Each copy is asked once more as a stranger, in a library without its originals.
    """
    for name, query in queries.items():
        facts = truth.queries[name]
        shared = {match.reference for match in facts.matches}
        near = {
            other: _nearness(query, features)
            for other, features in references.items()
            if other not in facts.left_out
        }
        ranked = sorted(near, key=lambda other: -near[other])
        question = Question(
            name=name,
            attack=facts.attack,
            source=source_of(next(iter(sorted(shared)), name), sources),
            query=query,
            references=_among(references, shared | set(ranked[:per_query])),
            truth=facts.matches,
        )
        yield question
        if shared:
            others = [other for other in ranked if other not in shared][:per_query]
            yield replace(question, references=_among(references, set(others)), truth=())


def read_sources(manifest: Path) -> dict[str, str]:
    """The source repository of each video in a manifest (a list of {"file", "source_repo"}), by its
    stem.

    Raises InvalidRequest.
    """
    try:
        entries = json.loads(manifest.read_text(encoding="utf-8"))
        return {Path(entry["file"]).stem: str(entry["source_repo"]) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise InvalidRequest(f"{manifest} is not a manifest of videos: {exc}") from exc


def source_of(video: str, sources: Mapping[str, str]) -> str:
    """The source of the video whose stem occurs in the name; else the name itself."""
    return next((source for stem, source in sources.items() if stem in video), video)


def _embedded(
    folder: Path, names: Sequence[str], decoder: Decoder, embedder: Embedder, sampling: Sampling
) -> dict[str, VideoFeatures]:
    """Features of the files that can be decoded, by name."""
    features: dict[str, VideoFeatures] = {}
    for name in names:
        try:
            clip = decoder.decode(video_of(folder, name), sampling=sampling)
        except MediaError as exc:
            logger.warning("%s was skipped: %s", name, exc.detail)
            continue
        features[name] = embedder.embed([clip])[0]
    return features


def video_of(folder: Path, name: str) -> VideoSource:
    """A video of a suite, without SHA-256, as it is not registered."""
    return local_source(folder / name, sha256="")


def _among(references: Mapping[str, VideoFeatures], names: set[str]) -> dict[str, VideoFeatures]:
    return {name: references[name] for name in sorted(names & references.keys())}


def _nearness(query: VideoFeatures, reference: VideoFeatures) -> float:
    cosines = query.descriptors.astype(np.float32) @ reference.descriptors.astype(np.float32).T
    return float(cosines.max())
