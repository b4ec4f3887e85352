"""Sound as a second witness: what it says about matches of pictures. Pure functions.

Sound that agrees raises a doubtful match. Sound that differs lowers a match of still pictures, as
many videos show one cover. It never lowers a match of moving pictures: a copy with other sound is a
copy. Missing or silent sound says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dubl.matching.segments import Span, cut_reference
from dubl.matching.signals import line_of
from dubl.rights.terms import Rights
from dubl.settings import PolicySettings
from dubl.types import (
    Heard,
    Limit,
    Match,
    MatchSet,
    Modality,
    Segment,
    SoundFeatures,
    SoundRelation,
    SoundSegment,
    Term,
    log_odds,
)

# Fitted to sounds made by rules and spoken, their edited copies, and train suites: see
# docs/lab/sound.md.
MIN_LIKELIHOOD = 0.5  # of a segment of sound that is reported and counts
MIN_SHARED_S = 1.5  # seconds that segments of sound and picture share; chosen, less than a window
# Seconds between their lines: 99.5 % of likely segments of sound are right within .28 s, nine of
# ten ends of pictures within .13 s; the rest is room for sparse sampling, chosen.
MAX_OFFSET_S = 1.0
# Seconds with sound on both sides without which nothing differs: of 3 293 excerpts of edited
# copies 75 % are missed if they last 4-5 s, 34 % at 5-6 s, 15 % at 6-8 s, 7 % at 8-10 s.
MIN_AUDIBLE_S = 8.0
MIN_AUDIBLE_SHARE = 0.5  # of the picture's segment, likewise; chosen
# Of sound that proves two still pictures the same: strangers reach .69, 95 % of copies .71.
SURE_SIMILARITY = 0.7
# Factors on the odds of a copy if its sound agrees at the same place. Moving pictures: the greatest
# by which none of 1 149 strangers in train suites is called a duplicate if it had the copy's sound;
# of 17 doubtful copies 5 are, 4 more are sent to review. Still pictures prove little, so sound says
# more: 80 % of excerpts of copies of 6 s agree, and one of twenty other videos with the same cover
# has the same song, which is assumed.
MOVING_ODDS, STILL_ODDS = 2.4, 16.0


def compare_sounds(
    query: SoundFeatures,
    reference: SoundFeatures,
    segments: Sequence[SoundSegment],
    *,
    library: str,
    rights: Rights,
    min_segment_s: float,
) -> Heard:
    """The comparison from aligned segments, without excluded segments of the reference."""
    likely = sorted(
        (one for one in segments if one.likelihood >= MIN_LIKELIHOOD),
        key=lambda one: (-one.likelihood, -one.similarity),
    )
    excluded = [(one.start_s, one.end_s) for one in rights.excluded_segments]
    kept = cut_reference(map(_segment, likely), excluded, min_segment_s=min_segment_s)
    return Heard(
        library=library,
        segments=tuple(kept),
        likelihood=likely[0].likelihood if kept else 0.0,
        query_spans=audible_spans(query),
        reference_spans=audible_spans(reference),
    )


def audible_spans(sound: SoundFeatures) -> tuple[Span, ...]:
    """Spans in seconds, ascending, that windows with something to be heard cover."""
    spans: list[Span] = []
    for at in sound.times_s.tolist():
        end_s = at + sound.spec.window_s
        if spans and at <= spans[-1][1]:
            spans[-1] = (spans[-1][0], end_s)
        else:
            spans.append((at, end_s))
    return tuple(spans)


def with_sound(matches: MatchSet, policy: PolicySettings) -> tuple[Match, ...]:
    """All matches: those of pictures, weighed by their sound, then those of sound alone.

    A reference whose picture matches with agreeing sound needs no match of sound alone, if that
    reaches the review threshold.
    """
    pictures = [
        _weighed(one, matches.heard.get(one.reference_id), policy) for one in matches.matches
    ]
    joined = {
        one.reference_id
        for one in pictures
        if one.modality is Modality.BOTH and one.probability >= policy.review_probability
    }
    sounds = [
        _audio_match(name, heard)
        for name, heard in matches.heard.items()
        if heard.segments and name not in joined
    ]
    return tuple(sorted([*pictures, *sounds], key=lambda one: (-one.probability, -one.similarity)))


def relation(segment: Segment, heard: Heard, *, still: bool) -> SoundRelation:
    """What the sounds say about one segment of pictures.

    Still pictures have no place in time. So any shared sound within their segment agrees if it is
    surely the same; and none that is doubtful says that the sounds differ.
    """
    if segment.reversed:
        return SoundRelation.UNKNOWN
    agreeing = [one for one in heard.segments if _agree(segment, one, still=still)]
    if agreeing:
        sure = not still or max(one.similarity for one in agreeing) >= SURE_SIMILARITY
        return SoundRelation.AGREES if sure else SoundRelation.UNKNOWN
    ours, theirs = _query_span(segment), _reference_span(segment)
    audible_s = min(
        _shared_s([ours], heard.query_spans), _shared_s([theirs], heard.reference_spans)
    )
    length_s = min(ours[1] - ours[0], theirs[1] - theirs[0])
    if audible_s >= max(MIN_AUDIBLE_S, MIN_AUDIBLE_SHARE * length_s):
        return SoundRelation.DIFFERS
    return SoundRelation.UNKNOWN


def _weighed(match: Match, heard: Heard | None, policy: PolicySettings) -> Match:
    if heard is None or not match.segments:
        return match
    relations = [relation(one, heard, still=match.still) for one in match.segments]
    if SoundRelation.AGREES not in relations:
        return _lowered(replace(match, sound=relations[0]), policy)
    segments = tuple(
        replace(one, modality=Modality.BOTH) if said is SoundRelation.AGREES else one
        for one, said in zip(match.segments, relations, strict=True)
    )
    return replace(
        _raised(match, policy),
        segments=segments,
        modality=Modality.BOTH,
        sound=SoundRelation.AGREES,
    )


def _raised(match: Match, policy: PolicySettings) -> Match:
    """The match with agreeing sound, more probable; a clear no stays one."""
    chance = match.probability
    if chance < policy.second_pass_probability or chance >= match.ceiling:
        return match
    odds = STILL_ODDS if match.still else MOVING_ODDS
    raised = chance * odds / (chance * odds + 1 - chance)
    return match.at(raised, "sound", 1.0).below(match.ceiling, match.ceiling_by)


def _lowered(match: Match, policy: PolicySettings) -> Match:
    """Still pictures with other sound go at most to a person."""
    if match.sound is not SoundRelation.DIFFERS or not match.still:
        return match
    most = (policy.review_probability + policy.duplicate_probability) / 2
    return match.below(most, Limit.OTHER_SOUND)


def _audio_match(reference_id: str, heard: Heard) -> Match:
    return Match(
        reference_id=reference_id,
        library=heard.library,
        similarity=heard.segments[0].similarity,
        probability=heard.likelihood,
        segments=heard.segments,
        modality=Modality.AUDIO,
        sound=SoundRelation.AGREES,
        terms=(Term(name="sound", value=1.0, log_odds=log_odds(heard.likelihood)),),
    )


def _segment(one: SoundSegment) -> Segment:
    return Segment(
        query_start_s=one.query_start_s,
        query_end_s=one.query_end_s,
        reference_start_s=one.reference_start_s,
        reference_end_s=one.reference_end_s,
        similarity=one.similarity,
        modality=Modality.AUDIO,
    )


def _agree(picture: Segment, sound: Segment, *, still: bool) -> bool:
    start_s = max(picture.query_start_s, sound.query_start_s)
    end_s = min(picture.query_end_s, sound.query_end_s)
    if end_s - start_s < MIN_SHARED_S:
        return False
    if still:
        return _shared_s([_reference_span(picture)], [_reference_span(sound)]) >= MIN_SHARED_S
    lines = [line_of(one) for one in (picture, sound)]
    return all(
        abs(lines[0].slope * at + lines[0].offset_s - lines[1].slope * at - lines[1].offset_s)
        <= MAX_OFFSET_S
        for at in (start_s, end_s)
    )


def _query_span(segment: Segment) -> Span:
    return segment.query_start_s, segment.query_end_s


def _reference_span(segment: Segment) -> Span:
    return segment.reference_start_s, segment.reference_end_s


def _shared_s(some: Iterable[Span], others: Iterable[Span]) -> float:
    """Seconds that lie in both; spans of one side do not overlap."""
    others = list(others)
    return sum(
        max(0.0, min(one[1], other[1]) - max(one[0], other[0])) for one in some for other in others
    )
