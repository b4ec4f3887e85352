"""The decision: from matches to a verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dubl.matching.licensing import rule
from dubl.rights.terms import ANYWHERE, UNRESTRICTED, Action, CheckContext, Reason, Ruling
from dubl.settings import EvidenceSettings, PolicySettings
from dubl.types import NO_STANDING, Match, MatchSet, Outcome, Standing, Timings, Verdict

MAX_UNSETTLED = 3


def decide(
    matches: MatchSet,
    policy: PolicySettings,
    *,
    model_id: str,
    standing: Standing = NO_STANDING,
    context: CheckContext = ANYWHERE,
) -> Verdict:
    """The outcome that the most probable match calls for; "unique" when there is none.

    What is licensed in `context` counts for nothing, says so and comes behind what counts; so do
    rejected matches, which come last. Of a reference in quarantine a person decides.
    """
    marked = _marked(matches, standing, context)
    marked = [
        replace(one, outcome=outcome_of(one.probability, policy_of(one.library, policy, standing)))
        for one in marked
    ]
    ordered = sorted(marked, key=_place)
    counting = [match for match in ordered if counts(match)]
    best = max((match.probability for match in counting), default=0.0)
    outcome = max((_said(match) for match in counting), key=_weight, default=Outcome.UNIQUE)
    found = [match for match in counting if _said(match) is outcome]
    used = policy_of(found[0].library, policy, standing) if found else policy
    return Verdict(
        outcome=outcome,
        probability=best,
        matches=tuple(ordered),
        action=_strictest(found) if outcome is not Outcome.UNIQUE else Action.ALLOW,
        context=context,
        model_id=model_id,
        policy_version=used.version,
        index_version=matches.index_version,
        damaged=matches.damaged,
        timings_ms=matches.timings_ms,
    )


def policy_of(library: str, policy: PolicySettings, standing: Standing) -> PolicySettings:
    """The library's own thresholds where it has some, under a version of their own."""
    own = standing.policies.get(library)
    if own is None:
        return policy
    return policy.model_copy(
        update={
            "version": f"{policy.version}+{library}.{own.number}",
            "duplicate_probability": own.duplicate_probability,
            "review_probability": own.review_probability,
        }
    )


def counts(match: Match) -> bool:
    """Whether it may make a verdict a duplicate."""
    return match.rights.counts and not match.rejected


def agree(answered: Verdict, other: Verdict) -> bool:
    """Whether two models say the same of a query: the same outcome and, unless that is unique, they
    find a reference in common. Not the best one: a library may hold a video many times."""
    if answered.outcome is not other.outcome:
        return False
    return answered.outcome is Outcome.UNIQUE or bool(_found(answered) & _found(other))


def _found(verdict: Verdict) -> set[str]:
    return {one.reference_id for one in verdict.matches if one.outcome is not Outcome.UNIQUE}


def is_doubtful(verdict: Verdict, policy: PolicySettings) -> bool:
    """Whether a closer look may settle it: something was found, and it is not sure."""
    sure = any(one.outcome is Outcome.DUPLICATE for one in verdict.matches if counts(one))
    return verdict.probability >= policy.second_look_probability and not sure


def unsettled(
    matches: MatchSet,
    policy: PolicySettings,
    *,
    standing: Standing = NO_STANDING,
    context: CheckContext = ANYWHERE,
) -> tuple[str, ...]:
    """The references whose matches a look at pixels may settle, the most probable first: none where
    nothing was found, or something is sure. What is licensed or rejected settles nothing."""
    counting = [one for one in _marked(matches, standing, context) if counts(one)]
    best = max((one.probability for one in counting), default=0.0)
    if best >= policy.sure_probability:
        return ()
    least = policy.second_look_probability
    found = [one for one in counting if one.segments and one.probability >= least]
    return tuple(one.reference_id for one in found[:MAX_UNSETTLED])


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


def keeps_evidence(verdict: Verdict, evidence: EvidenceSettings) -> bool:
    """Whether a person may want to see why: of what matches nothing by the thresholds of its
    library, nothing is kept by default. A licensed copy is a match too."""
    if evidence.keep == "matches":
        return any(
            match.outcome not in (None, Outcome.UNIQUE)
            for match in verdict.matches
            if not match.rejected
        )
    return evidence.keep == "all"


def _strictest(matches: Sequence[Match]) -> Action:
    """A reference in quarantine blocks nothing."""
    wishes = [
        max(one.rights.action, Action.TRACK, key=_leniency)
        if one.rights.quarantined
        else one.rights.action
        for one in matches
    ]
    return min(wishes, key=_leniency)


def _marked(matches: MatchSet, standing: Standing, context: CheckContext) -> list[Match]:
    return [
        replace(
            one,
            rejected=one.reference_id in standing.rejected,
            rights=_ruling(one, matches, standing, context),
        )
        for one in matches.matches
    ]


def _ruling(match: Match, matches: MatchSet, standing: Standing, context: CheckContext) -> Ruling:
    ruling = rule(match, matches.rights.get(match.reference_id, UNRESTRICTED), context)
    if match.reference_id not in standing.quarantined or not ruling.counts:
        return ruling
    return replace(
        ruling,
        quarantined=True,
        reason_code=Reason.QUARANTINED,
        reason="its reference suddenly matches far more than usual, so a person decides; "
        + ruling.reason,
    )


def _said(match: Match) -> Outcome:
    """What a match calls for."""
    outcome = match.outcome or Outcome.UNIQUE
    if match.rights.quarantined and outcome is Outcome.DUPLICATE:
        return Outcome.REVIEW
    return outcome


def _weight(outcome: Outcome) -> int:
    return (Outcome.UNIQUE, Outcome.REVIEW, Outcome.DUPLICATE).index(outcome)


def _leniency(action: Action) -> int:
    return action.leniency


def _place(match: Match) -> tuple[bool, bool, int]:
    """What calls for most comes first, and within that what is most probable."""
    return (match.rejected, not match.rights.counts, -_weight(_said(match)))
