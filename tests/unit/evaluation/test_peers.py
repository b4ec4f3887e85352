"""Peers find what they are known to find."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dubl.evaluation.peers import FramePHash, Peer, VideoHash, VPdq, collage_hash, hamming, phash
from dubl.footage.textures import dead_leaves
from dubl.types import Uint8Array

SIDE = 128


def video(seed: int, seconds: int = 9) -> Uint8Array:
    """A picture a second, each another."""
    rng = np.random.default_rng(seed)
    frames = [dead_leaves((SIDE, SIDE), rng) for _ in range(seconds)]
    return np.stack([np.asarray(frame.convert("RGB")) for frame in frames])


def smaller(frames: Uint8Array) -> Uint8Array:
    """The same pictures after a lossy way through 64 pixels."""
    return np.stack(
        [
            np.asarray(Image.fromarray(frame).resize((64, 64)).resize((SIDE, SIDE)))
            for frame in frames
        ]
    )


def peers() -> list[Peer]:
    found: list[Peer] = [FramePHash(), VideoHash()]
    try:
        found.append(VPdq())
    except ImportError:
        return found
    return found


@pytest.mark.parametrize("peer", peers(), ids=lambda peer: peer.name)
def test_a_scaled_copy_scores_highest(peer: Peer) -> None:
    library = [peer.describe(video(seed)) for seed in range(4)]
    scores = peer.scores(peer.describe(smaller(video(2))), library)
    assert int(scores.argmax()) == 2
    assert scores.shape == (4,)


def test_hashes_have_64_bits_half_of_them_set() -> None:
    frames = video(0)
    assert phash(frames).shape == (9, 64)
    assert collage_hash(frames).shape == (1, 64)
    assert phash(frames).sum(axis=1).tolist() == [32] * 9


def test_hamming_counts_differing_bits() -> None:
    one = np.zeros((2, 64), dtype=np.bool_)
    other = np.ones((3, 64), dtype=np.bool_)
    other[0, :60] = False
    assert hamming(one, other).tolist() == [[4, 64, 64]] * 2


def test_a_video_of_one_frame_has_a_collage() -> None:
    assert collage_hash(video(1, seconds=1)).shape == (1, 64)


def test_vpdq_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr("dubl.evaluation.peers.importlib.import_module", absent)
    with pytest.raises(ImportError):
        VPdq()
