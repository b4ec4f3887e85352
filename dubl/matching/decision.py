"""The decision: from matches to a verdict. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from dubl.settings import PolicySettings
from dubl.types import MatchSet, Outcome, Timings, Verdict


def decide(
    matches: MatchSet, policy: PolicySettings, *, model_id: str, rejected: Collection[str] = ()
) -> Verdict:
    """The outcome that the most probable match calls for; "unique" when there is none.

    Matches with references in `rejected` count for nothing, say so and come last.
    """
    marked = [replace(one, rejected=one.reference_id in rejected) for one in matches.matches]
    ordered = sorted(marked, key=lambda match: match.rejected)
    best = max((match.probability for match in ordered if not match.rejected), default=0.0)
    return Verdict(
        outcome=outcome_of(best, policy),
        probability=best,
        matches=tuple(ordered),
        model_id=model_id,
        policy_version=policy.version,
        index_version=matches.index_version,
        damaged=matches.damaged,
        timings_ms=matches.timings_ms,
    )


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
