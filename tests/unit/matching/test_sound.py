"""Claims about sound as a second witness of a match."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubl.matching.decision import decide, more_probable
from dubl.matching.sound import audible_spans, compare_sounds, relation
from dubl.rights.terms import UNRESTRICTED, ExcludedSegment, Modalities, Reason, Rights
from dubl.settings import PolicySettings
from dubl.types import (
    Heard,
    Limit,
    Match,
    MatchSet,
    Modality,
    Note,
    Outcome,
    Segment,
    SoundFeatures,
    SoundRelation,
    SoundSegment,
    SoundSpec,
    Term,
    Verdict,
    log_odds,
)

POLICY = PolicySettings(duplicate_probability=0.9, review_probability=0.5)
SPEC = SoundSpec(
    model_id="imaginary",
    weights_sha256="0" * 64,
    sample_rate_hz=8000,
    window_s=2.0,
    step_s=0.5,
    dims=4,
)


def segment(
    start_s: float, end_s: float, shift_s: float = 0.0, modality: Modality = Modality.VIDEO
) -> Segment:
    return Segment(
        query_start_s=start_s,
        query_end_s=end_s,
        reference_start_s=start_s + shift_s,
        reference_end_s=end_s + shift_s,
        similarity=0.8,
        modality=modality,
    )


def heard(*segments: Segment, audible_s: float = 30.0, likelihood: float = 0.9) -> Heard:
    """Sounds of half a minute that share these segments."""
    spans = ((0.0, audible_s),) if audible_s else ()
    return Heard(
        library="main",
        segments=segments,
        likelihood=likelihood if segments else 0.0,
        query_spans=spans,
        reference_spans=spans,
    )


SAME = heard(segment(0, 20, modality=Modality.AUDIO))
SHIFTED = heard(segment(0, 20, 5.0, modality=Modality.AUDIO))
OTHER = heard()


def asked(
    probability: float,
    sound: Heard | None,
    *,
    still: bool = False,
    pictures: tuple[Segment, ...] = (segment(0, 20),),
    rights: Rights = UNRESTRICTED,
    ceiling: float = 1.0,
    notes: tuple[Note, ...] = (),
) -> Verdict:
    match = Match(
        reference_id="r",
        library="main",
        similarity=0.7,
        probability=probability,
        segments=pictures,
        still=still,
        ceiling=ceiling,
        terms=(Term(name="base", value=1.0, log_odds=log_odds(probability)),),
    )
    found = MatchSet(
        matches=(match,),
        index_version=1,
        rights={"r": rights},
        heard={} if sound is None else {"r": sound},
        notes=notes,
    )
    verdict = decide(found, POLICY, model_id="m")
    for one in verdict.matches:
        total = sum(term.log_odds for term in one.terms)
        assert total == pytest.approx(log_odds(one.probability), abs=1e-9)
    return verdict


@pytest.mark.parametrize("still", [False, True])
def test_agreeing_sound_makes_a_doubtful_picture_a_duplicate(still: bool) -> None:
    verdict = asked(0.8, SAME, still=still)
    (match,) = verdict.matches
    assert verdict.outcome is Outcome.DUPLICATE
    assert (match.modality, match.sound) == (Modality.BOTH, SoundRelation.AGREES)
    assert [one.modality for one in match.segments] == [Modality.BOTH]
    assert verdict.audio_matches == ()


def test_agreeing_sound_sends_a_weak_picture_to_review_and_leaves_a_clear_no() -> None:
    assert asked(0.35, SAME).outcome is Outcome.REVIEW
    assert asked(0.78, SAME).outcome is Outcome.REVIEW  # as a look-alike of the train suites
    assert asked(0.6, SAME, still=True).outcome is Outcome.DUPLICATE
    verdict = asked(0.01, SAME)
    assert (verdict.outcome, verdict.probability) == (Outcome.UNIQUE, 0.01)
    assert [one.reference_id for one in verdict.audio_matches] == ["r"]


def test_a_shared_intro_with_its_sound_stays_below_its_ceiling() -> None:
    assert asked(0.7, SAME, ceiling=0.8).probability == 0.8


def test_still_pictures_with_other_sound_go_to_a_person() -> None:
    verdict = asked(0.95, OTHER, still=True)
    (match,) = verdict.matches
    assert (verdict.outcome, match.sound) == (Outcome.REVIEW, SoundRelation.DIFFERS)
    assert match.limit is Limit.OTHER_SOUND
    assert match.modality is Modality.VIDEO
    assert asked(0.3, OTHER, still=True).probability == 0.3


def test_moving_pictures_with_other_sound_are_still_a_copy() -> None:
    verdict = asked(0.95, OTHER)
    assert (verdict.outcome, verdict.probability) == (Outcome.DUPLICATE, 0.95)
    assert verdict.matches[0].sound is SoundRelation.DIFFERS


@pytest.mark.parametrize("sound", [None, heard(audible_s=0.0), heard(audible_s=7.0)])
@pytest.mark.parametrize("still", [False, True])
def test_missing_or_nearly_silent_sound_says_nothing(sound: Heard | None, still: bool) -> None:
    verdict = asked(0.95, sound, still=still)
    assert (verdict.outcome, verdict.probability) == (Outcome.DUPLICATE, 0.95)
    assert verdict.matches[0].sound is SoundRelation.UNKNOWN


def test_the_same_sound_at_another_place_does_not_raise_moving_pictures() -> None:
    verdict = asked(0.6, SHIFTED)
    assert verdict.probability == 0.6
    assert verdict.matches[0].sound is SoundRelation.DIFFERS
    assert [one.modality for one in verdict.audio_matches] == [Modality.AUDIO]


def test_still_pictures_have_no_place_in_time_that_sound_could_miss() -> None:
    assert relation(segment(0, 20), SHIFTED, still=True) is SoundRelation.AGREES
    apart = heard(segment(0, 5, 20.0, modality=Modality.AUDIO))
    assert relation(segment(0, 20), apart, still=True) is SoundRelation.DIFFERS


def test_doubtful_sound_says_nothing_about_still_pictures() -> None:
    doubtful = heard(replace(segment(0, 20, modality=Modality.AUDIO), similarity=0.6))
    assert asked(0.7, doubtful, still=True).matches[0].sound is SoundRelation.UNKNOWN
    assert asked(0.7, doubtful).matches[0].sound is SoundRelation.AGREES


def test_sound_at_another_speed_does_not_agree_with_moving_pictures() -> None:
    slower = replace(segment(0, 20, modality=Modality.AUDIO), reference_end_s=15.0)
    assert relation(segment(0, 20), heard(slower), still=False) is SoundRelation.DIFFERS


def test_a_reversed_segment_is_not_compared_by_its_sound() -> None:
    turned = replace(segment(0, 20), reversed=True)
    assert relation(turned, OTHER, still=False) is SoundRelation.UNKNOWN


def test_only_segments_with_the_sound_say_that_they_are_of_both() -> None:
    sound = heard(segment(0, 8, modality=Modality.AUDIO))
    verdict = asked(0.95, sound, pictures=(segment(0, 8), segment(10, 20, 5.0)))
    (match,) = verdict.matches
    assert [one.modality for one in match.segments] == [Modality.BOTH, Modality.VIDEO]


def test_sound_alone_is_reported_apart_and_is_no_copy() -> None:
    verdict = asked(0.001, SAME, pictures=())
    (apart,) = verdict.audio_matches
    assert (verdict.outcome, verdict.probability) == (Outcome.UNIQUE, 0.001)
    assert (apart.probability, apart.modality) == (0.9, Modality.AUDIO)
    assert [one.modality for one in apart.segments] == [Modality.AUDIO]
    assert apart.rights.reason_code is Reason.OTHER_MODALITY
    assert not apart.rights.counts


@pytest.mark.parametrize("claimed", [Modalities.AUDIO, Modalities.BOTH])
def test_sound_alone_is_a_copy_where_its_owner_claims_it(claimed: Modalities) -> None:
    verdict = asked(0.001, SAME, rights=Rights(modalities=claimed))
    assert (verdict.outcome, verdict.audio_matches) == (Outcome.DUPLICATE, ())
    (match,) = verdict.matches
    assert (match.modality, match.rights.copied_s) == (Modality.AUDIO, 20.0)


def test_a_picture_alone_is_no_copy_where_its_owner_claims_the_sound() -> None:
    claimed = Rights(modalities=Modalities.AUDIO)
    verdict = asked(0.95, OTHER, rights=claimed)
    (match,) = verdict.matches
    assert (verdict.outcome, match.rights.counts) == (Outcome.UNIQUE, False)
    assert match.rights.reason == "only its picture is alike, which its owner does not claim"
    assert asked(0.95, SAME, rights=claimed).outcome is Outcome.DUPLICATE
    assert asked(0.95, None, rights=Rights(modalities=Modalities.BOTH)).outcome is Outcome.DUPLICATE


def test_a_black_video_with_the_sound_has_a_match_of_sound_alone() -> None:
    verdict = asked(0.95, SAME, notes=(Note.NOTHING_TO_SEE,))
    assert (verdict.outcome, verdict.matches) == (Outcome.UNIQUE, ())
    assert [one.reference_id for one in verdict.audio_matches] == ["r"]


def test_the_sound_of_the_first_pass_counts_for_the_second() -> None:
    first = MatchSet(matches=(), index_version=1, heard={"r": SAME})
    second = MatchSet(matches=(), index_version=1)
    assert more_probable(first, second).heard == {"r": SAME}


def sound(times_s: list[float]) -> SoundFeatures:
    vectors = np.zeros((len(times_s), 4), np.float16)
    vectors[:, 0] = 1
    return SoundFeatures(
        descriptors=vectors, times_s=np.array(times_s, float), duration_s=60.0, spec=SPEC
    )


def test_audible_spans_join_overlapping_windows() -> None:
    assert audible_spans(sound([0.0, 0.5, 1.0, 9.0])) == ((0.0, 3.0), (9.0, 11.0))
    assert audible_spans(sound([])) == ()


def test_excluded_segments_and_unlikely_ones_are_left_out() -> None:
    found = [
        SoundSegment(
            query_start_s=0.0,
            query_end_s=10.0,
            reference_start_s=0.0,
            reference_end_s=10.0,
            similarity=0.8,
            likelihood=likelihood,
        )
        for likelihood in (0.2, 0.9)
    ]
    rights = Rights(excluded_segments=(ExcludedSegment(start_s=0.0, end_s=4.0),))
    windows = sound([0.0, 0.5])
    left = compare_sounds(windows, windows, found, library="main", rights=rights, min_segment_s=1.0)
    assert [(one.query_start_s, one.query_end_s) for one in left.segments] == [(4.0, 10.0)]
    assert left.likelihood == 0.9
    all_out = Rights(excluded_segments=(ExcludedSegment(start_s=0.0, end_s=99.0),))
    nothing = compare_sounds(
        windows, windows, found, library="main", rights=all_out, min_segment_s=1.0
    )
    assert (nothing.segments, nothing.likelihood) == ((), 0.0)
