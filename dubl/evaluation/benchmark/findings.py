"""Everything that a report says, computed from one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubl.evaluation.benchmark.figures import (
    Figures,
    decision_figures,
    ranking_figures,
    segment_figures,
)
from dubl.evaluation.benchmark.judged import JudgedQuery, ScoredQuery, judged
from dubl.evaluation.benchmark.passport import (
    EditRow,
    OriginalRow,
    clean_by_edit,
    original_rows,
    passport,
)
from dubl.evaluation.benchmark.run import SuiteRun
from dubl.evaluation.metrics.detection import Estimate
from dubl.evaluation.peers.field import score_suite
from dubl.evaluation.peers.methods import Peers


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFindings:
    """A peer on the same files; `clean`: recall above its worst false pair, by edit."""

    name: str
    summary: str
    queries: Sequence[ScoredQuery]
    figures: Figures
    clean: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """A run of a suite, judged. `skipped_peers`: reasons by name."""

    suite: Path
    run: SuiteRun
    queries: Sequence[JudgedQuery]
    figures: Figures
    edits: Sequence[EditRow]
    originals: Sequence[OriginalRow]
    peers: Sequence[PeerFindings] = ()
    skipped_peers: Mapping[str, str]

    @property
    def copies(self) -> list[JudgedQuery]:
        return [query for query in self.queries if query.expected]


def judge(suite: Path, run: SuiteRun, peers: Peers) -> Findings:
    """Judges the run, and runs the peers over the same files."""
    queries, policy = judged(run), run.settings.policy
    return Findings(
        suite=suite,
        run=run,
        queries=queries,
        figures=suite_figures(run),
        edits=passport(queries, policy),
        originals=original_rows(queries, policy),
        peers=_peer_findings(suite, run, queries, peers),
        skipped_peers=peers.skipped,
    )


def suite_figures(run: SuiteRun) -> Figures:
    """All figures of Dubl itself, by name."""
    queries, policy = judged(run), run.settings.policy
    return {
        **ranking_figures([query.scored for query in queries]),
        **decision_figures(queries, policy),
        **segment_figures(queries, policy),
    }


def _peer_findings(
    suite: Path, run: SuiteRun, queries: Sequence[JudgedQuery], peers: Peers
) -> list[PeerFindings]:
    if not peers.ready:
        return []
    references = [name for name in run.truth.references if name not in run.same_as]
    scored = score_suite(suite, queries, references, peers.ready, run.settings)
    return [
        PeerFindings(
            name=peer.name,
            summary=peer.summary,
            queries=scored[peer.name],
            figures=ranking_figures(scored[peer.name]),
            clean=clean_by_edit(scored[peer.name]),
        )
        for peer in peers.ready
    ]
