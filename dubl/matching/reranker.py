"""Re-ranking: the full comparison of a query with its best candidates."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dubl.matching.alignment import Aligned, AlignmentOptions, align
from dubl.matching.calibration import (
    Calibration,
    Signals,
    ceiling,
    lasting_limit,
    limit,
    probability,
    terms,
    unlimited,
)
from dubl.matching.calm import realigned
from dubl.matching.interruptions import without_interruptions
from dubl.matching.matrix import pair_matrix
from dubl.matching.score_normalization import NO_BACKGROUND, ScoreNormalizer
from dubl.matching.segments import Span, covered_s, cut_query, cut_reference
from dubl.matching.signals import measure_signals, video_stream
from dubl.matching.sound import compare_sounds
from dubl.matching.versions import versions
from dubl.ports import Comparator, ReferenceFeatures, SoundAligner
from dubl.rights.terms import UNRESTRICTED, Modalities, Rights
from dubl.settings import MatchingSettings
from dubl.types import (
    Candidate,
    CandidateSet,
    Float16Array,
    Heard,
    Limit,
    Match,
    MatchSet,
    Segment,
    Term,
    VideoFeatures,
)

# A term that says where the search put the reference, from 1; 0: it did not find it.
RETRIEVAL_RANK = "retrieval_rank"
MAX_MEASURED = 8  # segments of a pair whose signals are measured; chosen, bounds the time
Found = tuple[Segment, Signals]
NO_RIGHTS: Mapping[str, Rights] = {}
NO_MODALITIES: Mapping[str, Modalities] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Segments of a pair, best first, and the signals of the most probable one.

    excluded_s: seconds of the query that copy excluded segments of the reference.
    common_s: further seconds that are common material.
    truncated: there are more segments. video_stream: as in Match. alike: ids of the other
    references that features take for versions of this one.
    """

    segments: tuple[Segment, ...] = ()
    signals: Signals = field(default_factory=Signals)
    excluded_s: float = 0.0
    common_s: float = 0.0
    truncated: bool = False
    video_stream: int | None = None
    alike: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Segments of a pair after cutting, best first, and signals of the first MAX_MEASURED; the rest
    as in Comparison."""

    segments: tuple[Segment, ...] = ()
    found: tuple[Found, ...] = ()
    excluded_s: float = 0.0
    common_s: float = 0.0
    truncated: bool = False
    video_stream: int | None = None


class ViSiLReranker:
    """Aligns the query with its best candidates and calculates a probability for each.

    Candidates that were deleted in the meantime are left out.
    """

    def __init__(
        self,
        features: ReferenceFeatures,
        comparator: Comparator,
        calibration: Calibration,
        settings: MatchingSettings,
        background: Float16Array = NO_BACKGROUND,
        *,
        align_sound: SoundAligner | None = None,
        modalities: Mapping[str, Modalities] = NO_MODALITIES,
    ) -> None:
        """`background`: unit descriptors [B,D'] of pictures that many videos show. align_sound:
        None: sounds are not compared. modalities: that references claim, by library."""
        self._features = features
        self._comparator = comparator
        self._calibration = calibration
        self._background = background
        self._align_sound = align_sound
        self._modalities = modalities
        self._negative = frozenset(settings.negative_libraries)
        self._negative_similarity = settings.negative_similarity
        self._rerank_candidates = settings.rerank_candidates
        self._options = AlignmentOptions(
            max_segments=settings.max_segments,
            min_segment_s=settings.min_segment_s,
            min_speed=settings.min_speed,
            max_speed=settings.max_speed,
            floor=calibration.floor,
            level=calibration.level,
        )

    def rerank(self, features: VideoFeatures, candidates: CandidateSet) -> MatchSet:
        """Matches of the best candidates, most probable first."""
        started = time.perf_counter()
        common = [one for one in candidates.candidates if one.library in self._negative]
        others = [one for one in candidates.candidates if one.library not in self._negative]
        seen = others[: self._rerank_candidates]
        names = {one.reference_id for one in seen}
        best = [*seen, *(one for one in candidates.heard if one.reference_id not in names)]
        asked_for = candidates.asked_for
        if asked_for is not None and asked_for.library not in self._negative:
            names |= {asked_for.reference_id}
            known = {one.reference_id for one in best}
            best += [] if asked_for.reference_id in known else [asked_for]
        stored = self._read([one.reference_id for one in best if one.reference_id in names])
        rights = self._rights(best)
        spans = self._common_spans(features, common)
        heard = self._hear(features, best, stored, rights)
        if len(features.timestamps_s):
            # Pictures of references that only sound proposed are compared where the sound agrees.
            agreeing = [name for name in heard if name not in stored and heard[name].segments]
            stored = {**stored, **self._read(agreeing)}
        comparisons = self.compare(features, stored, rights, common=spans)
        ranks = {one.reference_id: rank for rank, one in enumerate(others, start=1)}
        matches = [
            self._match(one, comparisons[one.reference_id], ranks.get(one.reference_id, 0))
            for one in best
            if one.reference_id in comparisons
        ]
        matches.sort(key=lambda match: (-match.probability, -match.similarity))
        elapsed_ms = (time.perf_counter() - started) * 1e3
        return MatchSet(
            matches=tuple(matches),
            index_version=candidates.index_version,
            searched=candidates.searched,
            damaged=features.damaged,
            notes=features.notes,
            timings_ms={**features.timings_ms, **candidates.timings_ms, "rerank": elapsed_ms},
            rights=rights,
            heard=heard,
            alike={name: one.alike for name, one in comparisons.items() if one.alike},
        )

    def _match(self, candidate: Candidate, compared: Comparison, rank: int) -> Match:
        signals = compared.signals
        added = (
            Term(name=RETRIEVAL_RANK, value=rank, log_odds=0.0),
            *terms(signals, self._calibration),
        )
        match = Match(
            reference_id=candidate.reference_id,
            library=candidate.library,
            similarity=signals.similarity,
            probability=unlimited(added),
            segments=compared.segments,
            excluded_s=compared.excluded_s,
            common_s=compared.common_s,
            truncated=compared.truncated,
            video_stream=compared.video_stream,
            still=self._is_still(signals),
            ceiling=ceiling(signals, self._calibration),
            ceiling_by=lasting_limit(signals, self._calibration) or Limit.SHARED_EDGE,
            terms=added,
        )
        held = limit(signals, self._calibration)
        return match if held is None else match.below(self._calibration.edge_ceiling, held)

    def _read(self, reference_ids: Sequence[str]) -> Mapping[str, VideoFeatures]:
        return self._features.read_features(reference_ids) if reference_ids else {}

    def _rights(self, candidates: Sequence[Candidate]) -> dict[str, Rights]:
        """Rights by reference id, with the modalities of the library where they name none."""
        if not candidates:
            return {}
        stored = self._features.read_rights([one.reference_id for one in candidates])
        libraries = {one.reference_id: one.library for one in candidates}
        return {
            name: replace(one, modalities=one.modalities or self._modalities.get(libraries[name]))
            for name, one in stored.items()
        }

    def _hear(
        self,
        query: VideoFeatures,
        candidates: Sequence[Candidate],
        stored: Mapping[str, VideoFeatures],
        rights: Mapping[str, Rights],
    ) -> dict[str, Heard]:
        """Comparisons of sounds by reference id, where both sides have one.

        Of candidates that are not in `stored` the sounds alone are read.
        """
        ours, align_sound = query.sound, self._align_sound
        if align_sound is None or ours is None or not len(ours.times_s):
            return {}
        sounds = {name: one.sound for name, one in stored.items()}
        unread = [one.reference_id for one in candidates if one.reference_id not in sounds]
        if unread:
            sounds.update(self._features.read_sounds(unread))
        heard: dict[str, Heard] = {}
        for one in candidates:
            name = one.reference_id
            theirs = sounds.get(name)
            if theirs is not None and len(theirs.times_s) and theirs.spec == ours.spec:
                heard[name] = compare_sounds(
                    ours,
                    theirs,
                    align_sound(ours, theirs),
                    library=one.library,
                    rights=rights.get(name, UNRESTRICTED),
                    min_segment_s=self._options.min_segment_s,
                )
        return heard

    def _is_still(self, signals: Signals) -> bool:
        return signals.common_change < self._calibration.min_common_change

    def compare(
        self,
        query: VideoFeatures,
        references: Mapping[str, VideoFeatures],
        rights: Mapping[str, Rights] = NO_RIGHTS,
        *,
        common: Sequence[Span] = (),
    ) -> dict[str, Comparison]:
        """Compares the query with `references`, by id.

        `common`: spans of the query, in seconds, that are common material and count for none.
        """
        alignments = {
            name: self._align(query, reference, rights.get(name, UNRESTRICTED), common)
            for name, reference in references.items()
        }
        alike = versions(
            references,
            {name: one.found[0][0] for name, one in alignments.items() if one.found},
            min_change=self._calibration.sure_motion,
        )
        normalizer = ScoreNormalizer(
            query,
            references,
            usual_background=self._calibration.usual_background,
            known_copies=[name for name, one in alignments.items() if self._is_sure(one.found)],
            versions=alike,
            background=self._background,
        )
        return {
            name: replace(self._scored(name, one, normalizer), alike=alike.get(name, frozenset()))
            for name, one in alignments.items()
        }

    def probability(self, signals: Signals) -> float:
        return probability(signals, self._calibration)

    def _common_spans(
        self, query: VideoFeatures, candidates: Sequence[Candidate]
    ) -> tuple[Span, ...]:
        """Spans of the query, in seconds, that match videos of negative libraries."""
        if not candidates:
            return ()
        ids = [one.reference_id for one in candidates[: self._rerank_candidates]]
        segments = [
            segment
            for reference in self._features.read_features(ids).values()
            for segment in self._segments(query, reference)[1].segments
        ]
        return tuple(
            (one.query_start_s, one.query_end_s)
            for one in segments
            if one.similarity >= self._negative_similarity
        )

    def _align(
        self,
        query: VideoFeatures,
        reference: VideoFeatures,
        rights: Rights,
        common: Sequence[Span],
    ) -> Alignment:
        """Segments with their signals. Excluded and common spans are cut out first."""
        query, aligned = self._segments(query, reference)
        segments = aligned.segments
        least_s = self._options.min_segment_s
        spans = [(one.start_s, one.end_s) for one in rights.excluded_segments]
        allowed = cut_reference(segments, spans, min_segment_s=least_s)
        left = cut_query(allowed, common, min_segment_s=least_s)
        wanted = self._calibration.weights.get("comparator", 0.0) > 0
        learned = self._comparator if wanted else None
        measured = tuple(
            (one, measure_signals(one, query, reference, learned)) for one in left[:MAX_MEASURED]
        )
        return Alignment(
            segments=tuple(left),
            found=measured,
            truncated=aligned.truncated,
            video_stream=video_stream(left[0], query, reference) if left else None,
            excluded_s=covered_s(segments) - covered_s(allowed),
            common_s=covered_s(allowed) - covered_s(left),
        )

    def _segments(
        self, query: VideoFeatures, reference: VideoFeatures
    ) -> tuple[VideoFeatures, Aligned]:
        """The query without interruptions of its copy, and the segments of the pair."""
        if not len(query.timestamps_s) or not len(reference.timestamps_s):
            return query, Aligned()
        matrix = pair_matrix(query, reference, self._comparator)
        query, matrix = without_interruptions(query, matrix, floor=self._options.floor)
        aligned = align(
            matrix.similarity,
            matrix.query_times_s,
            matrix.reference_times_s,
            query_duration_s=query.duration_s,
            reference_duration_s=reference.duration_s,
            options=self._options,
        )
        segments = realigned(
            aligned.segments,
            matrix,
            query,
            reference,
            max_speed=self._options.max_speed,
            min_segment_s=self._options.min_segment_s,
        )
        return query, replace(aligned, segments=segments)

    def _scored(self, name: str, alignment: Alignment, normalizer: ScoreNormalizer) -> Comparison:
        scored = [
            replace(
                signals,
                normalized_similarity=signals.similarity - normalizer.background(name, segment),
            )
            for segment, signals in alignment.found
        ]
        return Comparison(
            segments=alignment.segments,
            signals=max(scored, key=self.probability, default=Signals()),
            excluded_s=alignment.excluded_s,
            common_s=alignment.common_s,
            truncated=alignment.truncated,
            video_stream=alignment.video_stream,
        )

    def _is_sure(self, found: Sequence[Found]) -> bool:
        return any(signals.motion >= self._calibration.sure_motion for _, signals in found)
