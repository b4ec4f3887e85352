"""The network for sound is trained, and what was trained can be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dubl.footage.sounds import RATE_HZ, sound
from dubl.media.bands import STEP_S, bands_of
from dubl.models.cards import read_card
from dubl.sound.describer import SoundDescriber
from dubl.training.sound_edits import Pairs
from dubl.training.sound_run import SoundNetwork, SoundRunSettings, contrast, train_sound
from dubl.types import SoundClip
from tests.support.sounding_clip import Track, melody, write_clip


def test_a_trained_network_describes_sound_and_its_card_tells_of_the_clips(
    tmp_path: Path,
) -> None:
    write_clip(tmp_path / "a.mp4", [Track(samples=melody(4.0, seed=1))])
    entry = (
        '[{"file": "a.mp4", "split": "train", "source_repo": "us", "licence": "CC0"},'
        '{"file": "b.mp4", "split": "test", "source_repo": "them", "licence": "CC0"}]'
    )
    (tmp_path / "manifest.json").write_text(entry)
    settings = SoundRunSettings(steps=4, cycles=1, batch=4, tracks=4)
    folder = train_sound(tmp_path / "out", settings, clips=[tmp_path])
    bands = bands_of(sound(1, 5.0).astype(np.float32))
    describer = SoundDescriber(folder)
    assert len(describer.describe(SoundClip(bands=bands, step_s=STEP_S, start_s=0.0)).times_s)
    sources = {str(one["source"]): one["sounds"] for one in read_card(folder).training_data}
    assert sources == {"made by rules": 4, "us": 1}


def test_training_brings_edited_windows_nearer() -> None:
    torch.manual_seed(0)
    tracks = [bands_of(sound(seed, 8.0).astype(np.float32)) for seed in range(12)]
    pairs, network = Pairs(tracks, np.random.default_rng(0)), SoundNetwork()
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    losses = []
    for _ in range(40):
        loss = contrast(network, pairs, 32)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.4


def test_sounds_of_one_seed_are_equal_and_of_another_differ() -> None:
    one, same, other = sound(4, 3.0), sound(4, 3.0), sound(8, 3.0)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert len(one) == 3 * RATE_HZ
    assert 0.5 < np.abs(one).max() <= 0.71
