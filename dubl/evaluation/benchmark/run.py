"""Asks about every query of a suite, by the steps of the service and in their order.

decode → embed → register for references, decode → embed → retrieve → re-rank → verify → decide
for queries, all in this process, in a library of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from dubl.assembly import (
    feature_spec,
    make_decoder,
    make_embedder,
    make_evidence_store,
    make_reranker,
    make_retriever,
    make_store,
    make_verifier,
    model_id,
    query_sampling,
    reference_sampling,
    second_pass_sampling,
)
from dubl.errors import InputError, InvalidRequest, ResourceError
from dubl.evaluation.suite_truth import (
    QUERIES,
    REFERENCES,
    Failure,
    SuiteTruth,
    find_video,
)
from dubl.index.store import Entry
from dubl.matching.decision import (
    decide,
    doubtful_references,
    more_probable,
    needs_second_pass,
    summed_timings,
)
from dubl.media.evidence_store import EvidenceStore
from dubl.media.sources import hash_file
from dubl.ports import Decoder, Embedder
from dubl.settings import Settings
from dubl.types import (
    FrameClip,
    ReferenceDraft,
    Sampling,
    Timings,
    Verdict,
    VideoFeatures,
    VideoSource,
)

logger = logging.getLogger(__name__)

REGISTERED_AT_ONCE = 16
LOGGED_EACH = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """The answers to a suite.

    verdicts: by query; failed queries are in `failures` with their code. same_as: references with
    the bytes of another one, and that one. durations_s: seconds of the decoded videos, by folder
    and name ("queries/a.mp4"). reference_timings: milliseconds by step, summed over the references.
    """

    truth: SuiteTruth
    settings: Settings
    model_id: str
    space_id: str
    verdicts: Mapping[str, Verdict]
    failures: tuple[Failure, ...]
    same_as: Mapping[str, str]
    durations_s: Mapping[str, float]
    reference_timings: Timings

    @property
    def query_timings(self) -> Timings:
        """Milliseconds by step, summed over the queries."""
        return summed_timings([verdict.timings_ms for verdict in self.verdicts.values()])


def run_suite(suite: Path, truth: SuiteTruth, settings: Settings, *, home: Path) -> SuiteRun:
    """Registers the references in a new library under `home` and asks about every query.

    Videos that do not decode become failures. Raises InvalidRequest for a suite without queries
    or references, and what is the installation's fault.
    """
    if not truth.queries or not truth.references:
        raise InvalidRequest(f"the truth of {suite} names no queries or no references")
    own = settings.model_copy(
        update={"data_dir": home, "index": settings.index.model_copy(update={"uri": ""})}
    )
    reader = _Reader(suite=suite, decoder=make_decoder(own), embedder=make_embedder(own))
    kept = make_evidence_store(own)
    same_as, reference_timings = _register(reader, truth.references, own, kept)
    retriever, reranker, model = make_retriever(own), make_reranker(own), model_id(own)
    open_file = partial(_source, suite / REFERENCES)
    verifier = make_verifier(own, kept, open_file=open_file)
    store = make_store(own, read_only=True)

    def verdict_of(query: Described) -> Verdict:
        matches = reranker.rerank(query.features, retriever.retrieve(query.features))
        doubtful = doubtful_references(matches, own.policy)
        if verifier is not None and doubtful:
            references = store.existing(ids=doubtful)
            matches = verifier.verify(
                query.source, matches, doubtful, references, decoder=reader.decoder
            )
        return decide(matches, own.policy, model_id=model)

    verdicts = {
        query.name: verdict_of(query)
        for query in reader.described(QUERIES, list(truth.queries), query_sampling(own))
    }
    doubtful = [
        name
        for name, verdict in verdicts.items()
        if needs_second_pass(verdict, own.policy)
        and second_pass_sampling(own) != query_sampling(own)
    ]
    for query in reader.described(QUERIES, doubtful, second_pass_sampling(own)):
        verdicts[query.name] = more_probable(verdicts[query.name], verdict_of(query))
    return SuiteRun(
        truth=truth,
        settings=settings,
        model_id=model,
        space_id=feature_spec(own).space_id,
        verdicts=verdicts,
        failures=tuple(reader.failures),
        same_as=same_as,
        durations_s=reader.durations_s,
        reference_timings=reference_timings,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A video of a suite, and what the first steps make of it."""

    name: str
    source: VideoSource
    clip: FrameClip
    features: VideoFeatures


class _Reader:
    """Decodes and embeds the videos of a suite and notes those that fail."""

    def __init__(self, *, suite: Path, decoder: Decoder, embedder: Embedder) -> None:
        self.failures: list[Failure] = []
        self.durations_s: dict[str, float] = {}
        self._suite = suite
        self.decoder = decoder
        self._embedder = embedder

    def described(self, part: str, names: Sequence[str], sampling: Sampling) -> Iterator[Described]:
        """Each video that decodes."""
        for count, name in enumerate(names, 1):
            try:
                source = _source(self._suite / part, name)
                clip = self.decoder.decode(source, sampling=sampling)
            except (InputError, ResourceError) as exc:
                logger.warning("%s/%s fails: %s", part, name, exc.detail)
                failure = Failure(video=f"{part}/{name}", code=exc.code, detail=exc.detail)
                self.failures.append(failure)
                continue
            self.durations_s[f"{part}/{name}"] = clip.facts.duration_s
            features = self._embedder.embed([clip])[0]
            yield Described(name=name, source=source, clip=clip, features=features)
            if count % LOGGED_EACH == 0 or count == len(names):
                logger.info("%s: %d of %d", part, count, len(names))


def _source(folder: Path, name: str) -> VideoSource:
    path = find_video(folder, name)
    return VideoSource(
        path=str(path), sha256=hash_file(path), size_bytes=path.stat().st_size, name=name
    )


def _register(
    reader: _Reader, names: Sequence[str], settings: Settings, kept: EvidenceStore
) -> tuple[dict[str, str], Timings]:
    """Fills the library; returns references that stand for others, and the time it took."""
    store = make_store(settings)
    same_as: dict[str, str] = {}
    timings: list[Timings] = []
    described = reader.described(REFERENCES, names, reference_sampling(settings))
    while batch := list(islice(described, REGISTERED_AT_ONCE)):
        entries = [
            Entry(draft=ReferenceDraft(id=one.name), source=one.source, features=one.features)
            for one in batch
        ]
        registrations = store.register(entries)
        timings.extend(one.features.timings_ms for one in batch)
        if settings.evidence.keep != "none":  # else as in an archive
            for one in batch:
                kept.keep_reference(one.name, one.source, one.clip)
        for entry, registration in zip(entries, registrations, strict=True):
            if registration.reference.id != entry.draft.id:
                same_as[entry.draft.id] = registration.reference.id
    store.optimize()
    return same_as, summed_timings(timings)
