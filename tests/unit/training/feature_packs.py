"""Small packs of imaginary clip features for tests of the comparator's training."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubl.training.clips import ClipItem, FeaturePack

DIMS, REGIONS, FRAMES = 16, 4, 20


def write_feature_pack(folder: Path, *, clips: int, held_out: int, noise: float) -> FeaturePack:
    """Clips whose frames are random; their two edited versions are the same with noise.

    Clips come in scenes of four, which share half of every frame.
    """
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    items = []
    for number in range(clips):
        room = np.random.default_rng(100 + number // 4).normal(size=(1, REGIONS, DIMS))
        frames = room + rng.normal(size=(FRAMES, REGIONS, DIMS))
        versions = [unit(frames + rng.normal(size=frames.shape) * noise) for _ in range(2)]
        np.savez(
            folder / f"{number:05d}.npz",
            regions=np.stack([unit(frames), *versions]),
            guests=np.array([-1, -1, -1]),
        )
        items.append(
            ClipItem(
                name=f"clip/{number}",
                kind="scene",
                scene=f"scene{number // 4}",
                source="imaginary",
                license="none needed",
                validation=number >= clips - held_out,
                edits=("original", "strong", "strong"),
            )
        )
    (folder / "items.json").write_text(json.dumps([asdict(item) for item in items]))
    return FeaturePack(folder)


def unit(values: NDArray[np.float64]) -> NDArray[np.float16]:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float16)
