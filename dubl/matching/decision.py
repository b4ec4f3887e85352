"""The decision: from matches to a verdict. Pure functions.

All thresholds are in PolicySettings, or in a library's own policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dubl.matching.licensing import rule
from dubl.matching.segments import Span, covered_s, cut_query
from dubl.matching.sound import with_sound
from dubl.rights.terms import ANYWHERE, UNRESTRICTED, Action, CheckContext, Reason, Ruling
from dubl.settings import EvidenceSettings, PolicySettings
from dubl.types import (
    NO_PRIOR_DECISIONS,
    Match,
    MatchSet,
    Modality,
    Note,
    Outcome,
    PriorDecisions,
    Timings,
    Verdict,
)

# Both chosen; they bound the time of a check.
MAX_PIXEL_CHECKS = 3  # matches over the same seconds of the query whose pixels are compared
MIN_ADDED_S = 1.0  # seconds of the query that a match must add to surer ones


def decide(
    matches: MatchSet,
    policy: PolicySettings,
    *,
    model_id: str,
    prior: PriorDecisions = NO_PRIOR_DECISIONS,
    context: CheckContext = ANYWHERE,
) -> Verdict:
    """The verdict: the strongest outcome of the matches that count; "unique" if there is none.

    Matches licensed in `context` and rejected matches do not count. They stay in the list, after
    those that count. A match with a quarantined reference is at most "review". A query that shows
    nothing copies nothing.
    """
    if Note.NOTHING_TO_SEE in matches.notes:
        matches = replace(matches, matches=())
    matches = replace(matches, matches=with_sound(matches, policy))
    marked, apart = _claimed(_marked(matches, prior, context))
    marked = [
        replace(one, outcome=outcome_of(one.probability, policy_of(one.library, policy, prior)))
        for one in marked
    ]
    ordered = sorted(marked, key=_place)
    counting = [match for match in ordered if counts(match)]
    best = max((match.probability for match in counting), default=0.0)
    outcome = max((_said(match) for match in counting), key=_weight, default=Outcome.UNIQUE)
    found = [match for match in counting if _said(match) is outcome]
    used = policy_of(found[0].library, policy, prior) if found else policy
    return Verdict(
        outcome=outcome,
        probability=best,
        matches=tuple(ordered),
        action=_strictest(found) if outcome is not Outcome.UNIQUE else Action.ALLOW,
        context=context,
        model_id=model_id,
        policy_version=used.version,
        index_version=matches.index_version,
        searched=matches.searched,
        damaged=matches.damaged,
        notes=matches.notes,
        timings_ms=matches.timings_ms,
        audio_matches=apart,
    )


def _claimed(marked: Sequence[Match]) -> tuple[list[Match], tuple[Match, ...]]:
    """Matches whose modality their owner claims, one a reference, and those of sound apart."""
    apart = [
        one
        for one in marked
        if one.modality is Modality.AUDIO and one.rights.reason_code is Reason.OTHER_MODALITY
    ]
    best: dict[str, Match] = {}
    for match in marked:
        known = best.get(match.reference_id)
        if match not in apart and (known is None or (counts(match) and not counts(known))):
            best[match.reference_id] = match  # of two that count the first is more probable
    return list(best.values()), tuple(apart)


def policy_of(library: str, policy: PolicySettings, prior: PriorDecisions) -> PolicySettings:
    """The policy of a library: its own thresholds if it has any, with their own version."""
    own = prior.policies.get(library)
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
    """Whether the match may change the outcome: neither licensed nor rejected."""
    return match.rights.counts and not match.rejected


def agree(answered: Verdict, other: Verdict) -> bool:
    """Whether two models agree on a query: same outcome and, unless unique, a common reference.

    The best references may differ, as a library may hold a video many times.
    """
    if answered.outcome is not other.outcome:
        return False
    return answered.outcome is Outcome.UNIQUE or bool(_found(answered) & _found(other))


def _found(verdict: Verdict) -> set[str]:
    return {one.reference_id for one in verdict.matches if one.outcome is not Outcome.UNIQUE}


def needs_second_pass(verdict: Verdict, policy: PolicySettings) -> bool:
    """Whether a second pass may change the answer: a found match is no duplicate, and no duplicate
    covers its seconds of the query. Sound has no further views."""
    if Note.SOUND_ALONE in verdict.notes:
        return False
    counting = [one for one in verdict.matches if counts(one)]
    sure = [one for one in counting if one.outcome is Outcome.DUPLICATE]
    least = policy.second_pass_probability
    doubtful = [one for one in counting if one not in sure and one.probability >= least]
    return any(_adds_seconds(one, sure) for one in doubtful)


def doubtful_references(
    matches: MatchSet,
    policy: PolicySettings,
    *,
    prior: PriorDecisions = NO_PRIOR_DECISIONS,
    context: CheckContext = ANYWHERE,
) -> tuple[str, ...]:
    """Ids of references whose pixels should be compared, most probable first.

    A match is left out if sure matches cover its seconds of the query, or if MAX_PIXEL_CHECKS more
    probable ones are compared over most of them. So every reference of a compilation is compared,
    and few versions of one film. Sure matches are compared where features take their references for
    versions of one another: these may be other clips of one scene. Licensed and rejected matches
    neither count nor cover.
    """
    counting = [one for one in _marked(matches, prior, context) if counts(one)]
    sure = [one for one in counting if one.probability >= policy.sure_probability]
    rivals = [one for one in counting if one.probability >= policy.duplicate_probability]
    chosen: list[Match] = []
    for match in counting:
        if match.probability < policy.second_pass_probability or not match.segments:
            continue
        asked = contested(match, matches, rivals) if match in sure else _adds_seconds(match, sure)
        if asked and sum(_covers_most(one, match) for one in chosen) < MAX_PIXEL_CHECKS:
            chosen.append(match)
    return tuple(one.reference_id for one in chosen)


def contested(match: Match, matches: MatchSet, rivals: Sequence[Match]) -> bool:
    """Whether features take a reference of `rivals` for a version of this one."""
    alike = matches.alike.get(match.reference_id, frozenset())
    return any(one.reference_id in alike for one in rivals)


def _adds_seconds(match: Match, surer: Sequence[Match]) -> bool:
    """Whether the match covers seconds of the query that no surer match covers."""
    spans = query_spans(surer)
    return not spans or bool(cut_query(match.segments, spans, min_segment_s=MIN_ADDED_S))


def _covers_most(one: Match, match: Match) -> bool:
    """Whether `one` covers more than half of the query's seconds that `match` covers."""
    left = cut_query(match.segments, query_spans([one]), min_segment_s=0.0)
    return covered_s(left) < covered_s(match.segments) / 2


def query_spans(matches: Sequence[Match]) -> list[Span]:
    """The spans of the query, in seconds, of all segments."""
    return [
        (segment.query_start_s, segment.query_end_s) for one in matches for segment in one.segments
    ]


def more_probable(first: MatchSet, second: MatchSet) -> MatchSet:
    """The matches of two passes: each reference as in the pass where it is more probable."""
    best: dict[str, Match] = {}
    for match in (*first.matches, *second.matches):
        known = best.get(match.reference_id)
        if known is None or match.probability > known.probability:
            best[match.reference_id] = match
    return replace(
        first,
        matches=tuple(sorted(best.values(), key=lambda one: (-one.probability, -one.similarity))),
        damaged=first.damaged or second.damaged,
        timings_ms=summed_timings([first.timings_ms, second.timings_ms]),
        rights={**first.rights, **second.rights},
        heard={**second.heard, **first.heard},
    )


def summed_timings(timings: Sequence[Timings]) -> Timings:
    """The sum of all timings for each step."""
    steps = dict.fromkeys(step for one in timings for step in one)
    return {step: sum(one.get(step, 0.0) for one in timings) for step in steps}


def outcome_of(probability: float, policy: PolicySettings) -> Outcome:
    """The outcome of a probability under the policy's thresholds."""
    if probability >= policy.duplicate_probability:
        return Outcome.DUPLICATE
    if probability >= policy.review_probability:
        return Outcome.REVIEW
    return Outcome.UNIQUE


def stores_evidence(verdict: Verdict, evidence: EvidenceSettings) -> bool:
    """Whether evidence of the check is stored for reviewers.

    With `keep: matches` it is stored if a match reaches its library's review threshold, also a
    licensed one.
    """
    if evidence.keep == "matches":
        return any(
            match.outcome not in (None, Outcome.UNIQUE)
            for match in verdict.matches
            if not match.rejected
        )
    return evidence.keep == "all"


def _strictest(matches: Sequence[Match]) -> Action:
    """The strictest action of the matches. A quarantined reference never blocks."""
    wishes = [
        max(one.rights.action, Action.TRACK, key=_leniency)
        if one.rights.quarantined
        else one.rights.action
        for one in matches
    ]
    return min(wishes, key=_leniency)


def _marked(matches: MatchSet, prior: PriorDecisions, context: CheckContext) -> list[Match]:
    return [
        replace(
            one,
            rejected=one.reference_id in prior.rejected,
            rights=_ruling(one, matches, prior, context),
        )
        for one in matches.matches
    ]


def _ruling(
    match: Match, matches: MatchSet, prior: PriorDecisions, context: CheckContext
) -> Ruling:
    ruling = rule(match, matches.rights.get(match.reference_id, UNRESTRICTED), context)
    if match.reference_id not in prior.quarantined or not ruling.counts:
        return ruling
    return replace(
        ruling,
        quarantined=True,
        reason_code=Reason.QUARANTINED,
        reason="the reference suddenly matches far more than usual, so a person decides; "
        + ruling.reason,
    )


def _said(match: Match) -> Outcome:
    """The outcome of one match; a quarantined duplicate goes to review."""
    outcome = match.outcome or Outcome.UNIQUE
    if match.rights.quarantined and outcome is Outcome.DUPLICATE:
        return Outcome.REVIEW
    return outcome


def _weight(outcome: Outcome) -> int:
    return (Outcome.UNIQUE, Outcome.REVIEW, Outcome.DUPLICATE).index(outcome)


def _leniency(action: Action) -> int:
    return action.leniency


def _place(match: Match) -> tuple[bool, bool, int]:
    """Sort key: the strongest outcome first. The sort keeps the order by probability."""
    return (match.rejected, not match.rights.counts, -_weight(_said(match)))
