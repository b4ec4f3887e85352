"""Re-ranking: full comparison of the query with its best candidates."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dubl.matching.alignment import AlignmentOptions, align
from dubl.matching.calibration import Calibration, Evidence, probability
from dubl.matching.evidence import gather_evidence
from dubl.matching.matrix import pair_matrix
from dubl.matching.rivals import NO_BACKGROUND, Rivals
from dubl.ports import Comparator, ReferenceFeatures
from dubl.settings import MatchingSettings
from dubl.types import CandidateSet, Float16Array, Match, MatchSet, Segment, VideoFeatures

Found = tuple[Segment, Evidence]
SURE_MOTION = 0.5  # which other takes of one scene do not reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Segments of a pair, best first, and the evidence of the one that says most."""

    segments: tuple[Segment, ...] = ()
    evidence: Evidence = field(default_factory=Evidence)


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
        background: Float16Array = NO_BACKGROUND,
    ) -> None:
        """`background`: unit descriptors [B,D] of what many videos show (dubl.matching.rivals)."""
        self._features = features
        self._comparator = comparator
        self._calibration = calibration
        self._background = background
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
        comparisons = self.compare(features, stored)
        matches = [
            Match(
                reference_id=candidate.reference_id,
                library=candidate.library,
                similarity=comparisons[candidate.reference_id].evidence.similarity,
                probability=self.probability(comparisons[candidate.reference_id].evidence),
                segments=comparisons[candidate.reference_id].segments,
            )
            for candidate in best
            if candidate.reference_id in comparisons
        ]
        matches.sort(key=lambda match: (-match.probability, -match.similarity))
        elapsed_ms = (time.perf_counter() - started) * 1e3
        return MatchSet(
            matches=tuple(matches),
            index_version=candidates.index_version,
            damaged=features.damaged,
            timings_ms={**features.timings_ms, **candidates.timings_ms, "rerank": elapsed_ms},
        )

    def compare(
        self, query: VideoFeatures, references: Mapping[str, VideoFeatures]
    ) -> dict[str, Comparison]:
        """Compares the query with the references that look most like it, by id."""
        found = {name: self._align(query, reference) for name, reference in references.items()}
        rivals = Rivals(
            query,
            references,
            usual=self._calibration.usual_rival,
            sure=[name for name, pairs in found.items() if _moves_alike(pairs)],
            background=self._background,
        )
        return {name: self._judge(name, pairs, rivals) for name, pairs in found.items()}

    def probability(self, evidence: Evidence) -> float:
        return probability(evidence, self._calibration)

    def _align(self, query: VideoFeatures, reference: VideoFeatures) -> list[Found]:
        """Segments with their evidence, best first."""
        if not len(query.timestamps_s) or not len(reference.timestamps_s):
            return []
        matrix = pair_matrix(query, reference, self._comparator)
        segments = align(
            matrix.similarity,
            matrix.query_times_s,
            matrix.reference_times_s,
            query_duration_s=query.duration_s,
            reference_duration_s=reference.duration_s,
            options=self._options,
        )
        wanted = self._calibration.weights.get("comparator", 0.0) > 0
        learned = self._comparator if wanted else None
        return [(one, gather_evidence(one, query, reference, learned)) for one in segments]

    def _judge(self, name: str, found: Sequence[Found], rivals: Rivals) -> Comparison:
        judged = [
            replace(evidence, distinction=evidence.similarity - rivals.similarity(name, segment))
            for segment, evidence in found
        ]
        best = max(judged, key=self.probability, default=Evidence())
        return Comparison(segments=tuple(segment for segment, _ in found), evidence=best)


def _moves_alike(found: Sequence[Found]) -> bool:
    return any(evidence.motion >= SURE_MOTION for _, evidence in found)
