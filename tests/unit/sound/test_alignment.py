"""Segments that two sounds share: where, how fast, how likely."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubl.footage.sounds import RATE_HZ, music, sound
from dubl.media.bands import STEP_S, bands_of
from dubl.sound.alignment import align
from dubl.sound.describer import SoundDescriber
from dubl.types import SoundClip, SoundFeatures

DESCRIBER = SoundDescriber()
SONG = music(np.random.default_rng(77), 30.0)


def features(samples: np.ndarray) -> SoundFeatures:
    bands = bands_of(samples.astype(np.float32))
    return DESCRIBER.describe(SoundClip(bands=bands, step_s=STEP_S, start_s=0.0))


def faster(samples: np.ndarray, speed: float) -> np.ndarray:
    return np.interp(np.arange(0, len(samples) - 1, speed), np.arange(len(samples)), samples)


def cut(start_s: float, end_s: float) -> np.ndarray:
    return SONG[int(start_s * RATE_HZ) : int(end_s * RATE_HZ)]


def test_an_excerpt_is_found_at_its_place() -> None:
    best = align(features(cut(12, 20)), features(SONG))[0]
    assert best.likelihood > 0.9
    assert best.speed == pytest.approx(1, abs=0.05)
    assert best.reference_start_s == pytest.approx(12, abs=0.7)
    assert best.reference_end_s == pytest.approx(20, abs=0.7)
    assert best.query_end_s - best.query_start_s == pytest.approx(8, abs=1.2)


@pytest.mark.parametrize("speed", [0.8, 0.9, 1.1, 1.25])
def test_another_speed_is_found_and_told(speed: float) -> None:
    best = align(features(faster(cut(5, 25), speed)), features(SONG))[0]
    assert best.likelihood > 0.5
    assert best.speed == pytest.approx(speed, rel=0.12)
    middle_s = (best.query_start_s + best.query_end_s) / 2
    expected_s = (best.reference_start_s + best.reference_end_s) / 2
    assert 5 + middle_s * speed == pytest.approx(expected_s, abs=1.0)


def test_joined_excerpts_are_two_segments() -> None:
    joined = np.concatenate([cut(20, 27), cut(3, 10)])
    found = [one for one in align(features(joined), features(SONG)) if one.likelihood > 0.5]
    starts = sorted((one.query_start_s, one.reference_start_s) for one in found)
    assert len(starts) == 2
    assert starts[0][1] == pytest.approx(20, abs=1)
    assert starts[1][1] - (starts[1][0] - 7) == pytest.approx(3, abs=1.2)


def test_an_excerpt_between_other_sounds_has_its_ends() -> None:
    whole = np.concatenate([sound(5002, 6.0), cut(10, 18), sound(5003, 6.0)])
    best = align(features(whole), features(SONG))[0]
    assert best.query_start_s == pytest.approx(6, abs=1.6)
    assert best.query_end_s == pytest.approx(14, abs=1.6)


@pytest.mark.parametrize("seed", range(6))
def test_strangers_share_nothing(seed: int) -> None:
    found = align(features(sound(7000 + seed, 10.0)), features(SONG))
    assert all(one.likelihood < 0.5 for one in found)


def test_without_windows_nothing_is_shared() -> None:
    silent = features(np.zeros(5 * RATE_HZ))
    assert align(silent, features(SONG)) == ()
    assert align(features(SONG), silent) == ()


def test_two_spaces_are_not_compared() -> None:
    song = features(SONG)
    other = replace(song, spec=replace(song.spec, weights_sha256="other"))
    with pytest.raises(ValueError, match="two spaces"):
        align(song, other)


def test_two_long_talks_of_one_voice_are_strangers() -> None:
    """All their windows are alike, those of one place no more than others."""
    one, other = (_talk(seed) for seed in (1, 2))
    assert float(np.mean(one.descriptors[:40] @ other.descriptors[:40].T)) > 0.55
    assert max((found.likelihood for found in align(one, other)), default=0.0) < 0.1
    excerpt = replace(one, descriptors=one.descriptors[20:60], times_s=one.times_s[:40])
    assert align(excerpt, one)[0].likelihood > 0.9


def _talk(seed: int) -> SoundFeatures:
    """Forty seconds."""
    voice = np.random.default_rng(0).standard_normal(64)
    own = np.random.default_rng(seed).standard_normal((80, 64))
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    vectors = np.sqrt(0.6) * voice / np.linalg.norm(voice) + np.sqrt(0.4) * own
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return SoundFeatures(
        descriptors=vectors.astype(np.float16),
        times_s=np.arange(80) / 2,
        duration_s=41.5,
        spec=DESCRIBER.spec,
    )
