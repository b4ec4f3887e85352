"""Trains the network that describes sound (dubl.sound.describer), without labels.

A window and its edited version shall be nearer to each other than to all others of the batch
(NT-Xent, as in Chang et al., "Neural audio fingerprint", 2021). The tracks are made by rules; those
of training clips are added where there are some.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dubl.errors import MediaError
from dubl.footage.sounds import sound
from dubl.media.bands import BANDS, STEP_S, bands_of
from dubl.media.deadline import Deadline
from dubl.media.probe import probe_file
from dubl.models.checkpoints import ModelCard, save_checkpoint
from dubl.settings import MediaSettings
from dubl.sound.patches import ROWS, prepared
from dubl.training.datasets import credited, read_index
from dubl.training.sound_edits import Pairs
from dubl.types import Uint8Array

logger = logging.getLogger(__name__)

VERSION = "0.1"
DIMS = 64
_CHANNELS = (24, 48, 64)
_TEMPERATURE = 0.06
_LEARNING_RATE = 3e-3
_SECONDS = 20.0  # of a track made by rules


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundRunSettings:
    """cycles: each warms up and cools down once in `steps` steps of `batch` pairs. tracks: made by
    rules, of twenty seconds."""

    steps: int = 190
    cycles: int = 4
    batch: int = 256
    tracks: int = 480
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Track:
    source: str
    license: str
    kind: str
    bands: Uint8Array


class SoundNetwork(nn.Module):
    """Prepared windows [M,ROWS,B] to unit vectors [M,DIMS]."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = _CHANNELS
        self.first = nn.Conv2d(1, first, 3, 2, 1)
        self.second = nn.Conv2d(first, second, 3, 2, 1)
        self.third = nn.Conv2d(second, third, 3, 2, 1)
        self.out = nn.Linear(third * -(-ROWS // 8) * -(-BANDS // 8), DIMS)

    def forward(self, windows: Tensor) -> Tensor:
        values = windows[:, None]
        for layer in (self.first, self.second, self.third):
            values = functional.relu(layer(values))
        return functional.normalize(self.out(values.flatten(1)), dim=1)


def train_sound(folder: Path, settings: SoundRunSettings, *, clips: Iterable[Path] = ()) -> Path:
    """Trains and writes a model's folder. clips: folders with a manifest.json, of whose training
    split the sound is heard."""
    torch.manual_seed(settings.seed)
    torch.set_num_threads(1)
    made = [_made(seed) for seed in range(settings.tracks)]
    tracks = [*made, *(one for path in clips for one in _heard(path))]
    network = SoundNetwork()
    for cycle in range(settings.cycles):
        rng = np.random.default_rng(settings.seed + cycle)
        _train_cycle(network, Pairs([one.bands for one in tracks], rng), settings)
    hours = sum(len(one.bands) for one in tracks) * STEP_S / 3600
    card = ModelCard(
        name="dubl-sound",
        version=VERSION,
        training_data=credited(tracks, "sounds"),
        notes=f"Trained on {hours:.1f} hours of sound without labels, by "
        f"{settings.cycles * settings.steps} steps of {settings.batch} pairs.",
    )
    save_checkpoint(folder, network.state_dict(), card)
    return folder


def _train_cycle(network: SoundNetwork, pairs: Pairs, settings: SoundRunSettings) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _LEARNING_RATE, total_steps=settings.steps, pct_start=0.1
    )
    for step in range(1, settings.steps + 1):
        loss = contrast(network, pairs, settings.batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % 25 == 0:
            logger.info("step %d: loss %.3f", step, loss.item())


def contrast(network: SoundNetwork, pairs: Pairs, count: int) -> Tensor:
    """The loss of a batch."""
    plain, changed = pairs.draw(count)
    windows = prepared(np.concatenate([plain, changed]).astype(np.float32))
    vectors = network(torch.from_numpy(windows))
    logits = vectors[:count] @ vectors[count:].T / _TEMPERATURE
    own = torch.arange(count)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def _made(seed: int) -> _Track:
    samples = sound(seed, _SECONDS).astype(np.float32)
    return _Track(
        source="made by rules", license="none needed", kind="procedural", bands=bands_of(samples)
    )


def _heard(folder: Path) -> Iterator[_Track]:
    """The sound of training clips that is not silence."""
    for entry in read_index(folder / "manifest.json"):
        if entry["split"] != "train":
            continue
        try:
            heard = probe_file(
                str(folder / entry["file"]),
                settings=MediaSettings(),
                deadline=Deadline(60.0),
                sound=True,
            ).sound
        except MediaError as exc:
            logger.info("%s is left out: %s", entry["file"], exc.detail)
            continue
        if heard is not None and heard.bands.mean() > 20:
            yield _Track(
                source=entry["source_repo"],
                license=entry["licence"],
                kind="video",
                bands=heard.bands,
            )
