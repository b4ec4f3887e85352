"""Descriptors of sound: near for edited sound, far for others, none for what proves nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dubl.assembly import make_sound_describer, sound_spec
from dubl.errors import WeightsUnavailable
from dubl.footage.sounds import RATE_HZ, sound
from dubl.media.bands import BANDS, STEP_S, bands_of
from dubl.settings import load_settings
from dubl.sound.describer import SHIPPED, SoundDescriber
from dubl.sound.patches import ROWS, prepared
from dubl.training.sound_run import SoundNetwork
from dubl.types import SoundClip, SoundFeatures

TIMES = np.arange(6 * RATE_HZ) / RATE_HZ
RNG = np.random.default_rng(0)
NOTHING = {
    "silence": np.zeros(len(TIMES)),
    "faint noise": 1e-4 * RNG.standard_normal(len(TIMES)),
    "hum": 0.3 * np.sin(2 * np.pi * 50 * TIMES) + 0.1 * np.sin(2 * np.pi * 150 * TIMES),
    "hum and noise": 0.3 * np.sin(2 * np.pi * 100 * TIMES)
    + 0.003 * RNG.standard_normal(len(TIMES)),
    "steady noise": 0.1 * RNG.standard_normal(len(TIMES)),
    "tone": 0.4 * np.sin(2 * np.pi * 440 * TIMES),
    "beeps": 0.5 * np.sin(2 * np.pi * 1000 * TIMES) * (TIMES % 1 < 0.2),
    "clicks": 0.5 * RNG.standard_normal(len(TIMES)) * (TIMES % 0.5 < 0.05),
}


@pytest.fixture(scope="module")
def describer() -> SoundDescriber:
    return SoundDescriber()


def clip_of(samples: np.ndarray, start_s: float = 0.0) -> SoundClip:
    bands = bands_of(samples.astype(np.float32))
    return SoundClip(bands=bands, step_s=STEP_S, start_s=start_s)


def cosines(one: SoundFeatures, other: SoundFeatures) -> np.ndarray:
    return one.descriptors.astype(np.float32) @ other.descriptors.astype(np.float32).T


@pytest.mark.parametrize("name", NOTHING)
def test_what_proves_nothing_has_no_windows(name: str, describer: SoundDescriber) -> None:
    assert len(describer.describe(clip_of(NOTHING[name])).times_s) == 0


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_edited_sound_is_near_and_other_sound_is_far(seed: int, describer: SoundDescriber) -> None:
    plain = 0.5 * sound(seed + 1000, 10.0)
    noise = np.random.default_rng(seed).standard_normal(len(plain))
    noisy = 0.1 * plain + 0.03 * plain.std() * noise
    one, copy = (describer.describe(clip_of(samples)) for samples in (plain, noisy))
    other = describer.describe(clip_of(sound(seed + 2000, 10.0)))
    assert len(one.times_s) >= 15
    shared = np.intersect1d(one.times_s, copy.times_s)
    rows, columns = np.isin(one.times_s, shared), np.isin(copy.times_s, shared)
    own = np.diag(cosines(one, copy)[np.ix_(rows, columns)])
    assert np.median(own) > 0.75
    assert np.median(cosines(one, other).max(axis=1)) < np.median(own) - 0.2


def test_windows_keep_their_time_and_have_unit_length(describer: SoundDescriber) -> None:
    song = np.concatenate([np.zeros(3 * RATE_HZ), sound(1000, 5.0)])
    found = describer.describe(clip_of(song, start_s=10.0))
    assert found.spec == describer.spec
    assert found.duration_s == pytest.approx(18.0)
    assert 10 + 3 - found.spec.window_s <= found.times_s[0] <= 10 + 3.5
    assert found.times_s[-1] < 18.0
    assert (np.diff(found.times_s) >= found.spec.step_s - 1e-9).all()
    lengths = np.linalg.norm(found.descriptors.astype(np.float32), axis=1)
    assert np.allclose(lengths, 1, atol=2e-3)


def test_loudness_does_not_matter(describer: SoundDescriber) -> None:
    song = sound(1000, 6.0)
    loud, soft = (describer.describe(clip_of(song * gain)) for gain in (1.0, 0.1))
    assert np.diag(cosines(loud, soft)).min() > 0.95


@pytest.mark.parametrize("rows", [0, 1, 20, 49, 50])
def test_very_short_sound_is_described(rows: int, describer: SoundDescriber) -> None:
    bands = np.random.default_rng(0).integers(0, 255, (rows, BANDS), dtype=np.uint8)
    clip = SoundClip(bands=bands, step_s=STEP_S, start_s=0.0)
    found = describer.describe(clip)
    assert len(found.times_s) <= 1


def test_bands_of_another_kind_are_refused(describer: SoundDescriber) -> None:
    clip = SoundClip(bands=np.zeros((100, 7), np.uint8), step_s=STEP_S, start_s=0.0)
    with pytest.raises(ValueError, match="bands"):
        describer.describe(clip)


def test_numpy_computes_what_torch_was_trained_with() -> None:
    import safetensors.torch

    network = SoundNetwork()
    state = safetensors.torch.load_file(SHIPPED / "weights.safetensors")
    network.load_state_dict({name: value.float() for name, value in state.items()})
    bands = bands_of(sound(1000, 2.5).astype(np.float32))[:ROWS]
    found = SoundDescriber().describe(SoundClip(bands=bands, step_s=STEP_S, start_s=0.0))
    patch = bands[None].astype(np.float32) / 2.5 - 100
    with torch.inference_mode():
        expected = network(torch.from_numpy(prepared(patch)))[0].numpy()
    assert np.allclose(found.descriptors[0], expected, atol=2e-3)


def test_weights_that_are_absent_or_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable):
        SoundDescriber(tmp_path)
    with pytest.raises(WeightsUnavailable, match="no network for sound"):
        SoundDescriber(SHIPPED.parent / "dubl-compact")


def test_the_network_is_read_once_a_process() -> None:
    settings = load_settings(None, ["sound.enabled=true"], environment={})
    assert make_sound_describer(settings) is make_sound_describer(settings)
    assert sound_spec(settings) == make_sound_describer(settings).spec  # type: ignore[union-attr]
