"""All results of a report, calculated from one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubl.evaluation.benchmark.answers import AnsweredQuery, ScoredQuery, answered_queries
from dubl.evaluation.benchmark.edit_rows import (
    EditRow,
    OriginalRow,
    edit_rows,
    original_rows,
    recall_by_edit,
)
from dubl.evaluation.benchmark.figures import (
    Figures,
    decision_figures,
    ranking_figures,
    segment_figures,
)
from dubl.evaluation.benchmark.run import SuiteRun
from dubl.evaluation.metrics.detection import Estimate
from dubl.evaluation.peers.field import score_suite
from dubl.evaluation.peers.methods import Peers

PRECISIONS = (1.0, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodFindings:
    """A method, by its ranking of pairs. `recalls`: recall by edit, by precision of all pairs
    (PRECISIONS)."""

    name: str
    summary: str
    queries: Sequence[ScoredQuery]
    figures: Figures
    recalls: Mapping[float, Mapping[str, Estimate]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The results of a run of a suite.

    ranking: Dubl's answers in the form of `peers`. skipped_peers: reasons by name.
    """

    suite: Path
    run: SuiteRun
    queries: Sequence[AnsweredQuery]
    figures: Figures
    edits: Sequence[EditRow]
    originals: Sequence[OriginalRow]
    ranking: MethodFindings
    peers: Sequence[MethodFindings]
    skipped_peers: Mapping[str, str]

    @property
    def copies(self) -> list[AnsweredQuery]:
        return [query for query in self.queries if query.expected]


def judge(suite: Path, run: SuiteRun, peers: Peers) -> Findings:
    """Calculates the results of a run, and runs the peers on the same files."""
    queries, policy = answered_queries(run), run.settings.policy
    return Findings(
        suite=suite,
        run=run,
        queries=queries,
        figures=suite_figures(run),
        edits=edit_rows(queries, policy),
        originals=original_rows(queries, policy),
        ranking=_method("Dubl", f"`{run.model_id}`", [query.scored for query in queries]),
        peers=_peer_findings(suite, run, queries, peers),
        skipped_peers=peers.skipped,
    )


def suite_figures(run: SuiteRun) -> Figures:
    """All figures of Dubl itself, by name."""
    queries, policy = answered_queries(run), run.settings.policy
    return {
        **ranking_figures([query.scored for query in queries]),
        **decision_figures(queries, policy),
        **segment_figures(queries, policy),
    }


def _peer_findings(
    suite: Path, run: SuiteRun, queries: Sequence[AnsweredQuery], peers: Peers
) -> list[MethodFindings]:
    if not peers.ready:
        return []
    references = [name for name in run.truth.references if name not in run.same_as]
    scored = score_suite(suite, queries, references, peers.ready, run.settings)
    return [_method(peer.name, peer.summary, scored[peer.name]) for peer in peers.ready]


def _method(name: str, summary: str, queries: Sequence[ScoredQuery]) -> MethodFindings:
    return MethodFindings(
        name=name,
        summary=summary,
        queries=queries,
        figures=ranking_figures(queries),
        recalls={one: recall_by_edit(queries, precision=one) for one in PRECISIONS},
    )
