"""Re-ranking: full comparison of the query with its best candidates."""

from __future__ import annotations

import time

from dubl.matching.alignment import AlignmentOptions, align
from dubl.matching.calibration import Calibration, Evidence, probability
from dubl.matching.evidence import gather_evidence
from dubl.matching.matrix import pair_matrix
from dubl.ports import Comparator, ReferenceFeatures
from dubl.settings import MatchingSettings
from dubl.types import Candidate, CandidateSet, Match, MatchSet, Segment, VideoFeatures


class ViSiLReranker:
    """Aligns the query with each of the best candidates and calibrates what it finds.

    Candidates whose features are gone by now are left out.
    """

    def __init__(
        self,
        features: ReferenceFeatures,
        comparator: Comparator,
        calibration: Calibration,
        settings: MatchingSettings,
    ) -> None:
        self._features = features
        self._comparator = comparator
        self._calibration = calibration
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
        best = candidates.candidates[: self._rerank_candidates]
        stored = self._features.read_features([one.reference_id for one in best]) if best else {}
        matches = [
            self.match(features, stored[candidate.reference_id], candidate)
            for candidate in best
            if candidate.reference_id in stored
        ]
        matches.sort(key=lambda match: (-match.probability, -match.similarity))
        elapsed_ms = (time.perf_counter() - started) * 1e3
        return MatchSet(
            matches=tuple(matches),
            index_version=candidates.index_version,
            timings_ms={**features.timings_ms, **candidates.timings_ms, "rerank": elapsed_ms},
        )

    def match(self, query: VideoFeatures, reference: VideoFeatures, candidate: Candidate) -> Match:
        """Compares the query with one reference."""
        segments, evidence = self.compare(query, reference)
        return Match(
            reference_id=candidate.reference_id,
            library=candidate.library,
            similarity=evidence.similarity,
            probability=probability(evidence, self._calibration),
            segments=segments,
        )

    def compare(
        self, query: VideoFeatures, reference: VideoFeatures
    ) -> tuple[tuple[Segment, ...], Evidence]:
        """Segments, best first, and the evidence of the one that says most."""
        if not len(query.timestamps_s) or not len(reference.timestamps_s):
            return (), Evidence()
        matrix = pair_matrix(query, reference, self._comparator)
        segments = align(
            matrix.similarity,
            matrix.query_times_s,
            matrix.reference_times_s,
            query_duration_s=query.duration_s,
            reference_duration_s=reference.duration_s,
            options=self._options,
        )
        found = [gather_evidence(one, query, reference, self._comparator) for one in segments]
        best = max(found, key=lambda one: probability(one, self._calibration), default=Evidence())
        return segments, best
