"""The decision: from matches to a verdict. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from dubl.matching.licensing import rule
from dubl.rights.terms import ANYWHERE, UNRESTRICTED, Action, CheckContext
from dubl.settings import EvidenceSettings, PolicySettings
from dubl.types import Match, MatchSet, Outcome, Timings, Verdict


def decide(
    matches: MatchSet,
    policy: PolicySettings,
    *,
    model_id: str,
    rejected: Collection[str] = (),
    context: CheckContext = ANYWHERE,
) -> Verdict:
    """The outcome that the most probable match calls for; "unique" when there is none.

    What is licensed in `context` counts for nothing, says so and comes behind what counts; so do
    matches with references in `rejected`, which come last.
    """
    marked = [
        replace(
            one,
            rejected=one.reference_id in rejected,
            rights=rule(one, matches.rights.get(one.reference_id, UNRESTRICTED), context),
        )
        for one in matches.matches
    ]
    ordered = sorted(marked, key=lambda match: (match.rejected, not match.rights.counts))
    counting = [match for match in ordered if counts(match)]
    best = max((match.probability for match in counting), default=0.0)
    outcome = outcome_of(best, policy)
    found = [match for match in counting if outcome_of(match.probability, policy) is outcome]
    return Verdict(
        outcome=outcome,
        probability=best,
        matches=tuple(ordered),
        action=_strictest(found) if outcome is not Outcome.UNIQUE else Action.ALLOW,
        context=context,
        model_id=model_id,
        policy_version=policy.version,
        index_version=matches.index_version,
        damaged=matches.damaged,
        timings_ms=matches.timings_ms,
    )


def counts(match: Match) -> bool:
    """Whether it may make a verdict a duplicate."""
    return match.rights.counts and not match.rejected


def is_doubtful(verdict: Verdict, policy: PolicySettings) -> bool:
    """Whether a closer look may settle it: something was found, and it is not sure."""
    return policy.second_look_probability <= verdict.probability < policy.duplicate_probability


def surer(first: Verdict, closer: Verdict) -> Verdict:
    """The more probable answer of two looks at one query, with the time that both took."""
    timings = summed_timings([first.timings_ms, closer.timings_ms])
    return replace(max(first, closer, key=lambda one: one.probability), timings_ms=timings)


def summed_timings(timings: Sequence[Timings]) -> Timings:
    """Sums a step."""
    steps = dict.fromkeys(step for one in timings for step in one)
    return {step: sum(one.get(step, 0.0) for one in timings) for step in steps}


def outcome_of(probability: float, policy: PolicySettings) -> Outcome:
    """What a match of this probability is to the policy."""
    if probability >= policy.duplicate_probability:
        return Outcome.DUPLICATE
    if probability >= policy.review_probability:
        return Outcome.REVIEW
    return Outcome.UNIQUE


def keeps_evidence(verdict: Verdict, evidence: EvidenceSettings, policy: PolicySettings) -> bool:
    """Whether a person may want to see why: of what matches nothing, nothing is kept by default. A
    licensed copy is a match too."""
    if evidence.keep == "matches":
        found = [match.probability for match in verdict.matches if not match.rejected]
        return max(found, default=0.0) >= policy.review_probability
    return evidence.keep == "all"


def _strictest(matches: Sequence[Match]) -> Action:
    return min((match.rights.action for match in matches), key=lambda action: action.leniency)
