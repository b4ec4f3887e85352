"""Real clips of one room, one camera, one program or one screen are no copies of one another.

Pairs are drawn from scene groups of the training part, as an archive's search for duplicates sees
them: features, then pixels of the files.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from dubl.assembly import calibration_of, make_embedder, reference_sampling, weights_folder
from dubl.matching.calibration import load_background
from dubl.matching.reranker import ViSiLReranker
from dubl.media.decoder import FileDecoder
from dubl.media.sources import hash_file, local_source
from dubl.models.numpy_comparator import NumpyComparator
from dubl.settings import Settings, load_settings
from dubl.types import Match, Reference, VideoFeatures
from pipelines.pixel_check import PixelCheck

pytestmark = pytest.mark.slow

PAIRS_A_GROUP = 7
LEAST_PAIRS, LEAST_GROUPS = 60, 12
# Were duplicates by their features, and three of them by their pixels too: one robot program run
# twice, and one recording of a terminal with a bar in another color.
FORMER = {
    ("c2-0251-bubbletea-progress-animated", "c2-0252-bubbletea-progress-static"),
    ("c2-0419-grasp2act-scoop-g2a", "c2-0420-grasp2act-scoop-opt"),
    ("c2-0422-grasp2act-stir-g2a", "c2-0423-grasp2act-stir-opt"),
    ("v0011-sample-videos-no", "v0020-sample-videos-yes"),
    ("c2-0299-peract-n10-place-wine-s1", "c2-0308-peract-n100-place-wine-s1"),
    ("c2-0302-peract-n10-slide-block-s1", "c2-0308-peract-n100-place-wine-s1"),
    ("c2-0296-peract-n10-close-jar-s1", "c2-0302-peract-n10-slide-block-s1"),
    ("c2-0420-grasp2act-scoop-opt", "c2-0421-grasp2act-scoop-rl"),
}

Pair = tuple[Path, Path]


def drawn_pairs(data: Path) -> list[Pair]:
    """The first neighbors in each group, and the pairs that are named above."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for folder in ("videos", "clips2"):
        for clip in json.loads((data / folder / "manifest.json").read_text()):
            if clip["split"] == "train" and clip["scene_group"]:
                groups[clip["scene_group"]].append(data / folder / clip["file"])
    assert len(groups) >= LEAST_GROUPS
    neighbors = {pair for clips in groups.values() for pair in [*pairwise(clips)][:PAIRS_A_GROUP]}
    all_pairs = (pair for clips in groups.values() for pair in combinations(clips, 2))
    return sorted(neighbors | {pair for pair in all_pairs if names_of(pair) in FORMER})


def names_of(pair: Pair) -> tuple[str, str]:
    return pair[0].stem, pair[1].stem


def described(paths: set[Path], settings: Settings) -> Mapping[Path, VideoFeatures]:
    decoder, embedder = FileDecoder(settings.media), make_embedder(settings)
    sampling = reference_sampling(settings)
    return {
        path: embedder.embed(
            [decoder.decode(local_source(path, name=path.name), sampling=sampling)]
        )[0]
        for path in sorted(paths)
    }


def reference(path: Path, features: VideoFeatures) -> Reference:
    return Reference(
        id=path.stem,
        library="main",
        title="",
        owner="",
        metadata={},
        source=str(path),
        sha256=hash_file(path),
        duration_s=features.duration_s,
        frame_count=len(features.timestamps_s),
        created_at="2026-01-01T00:00:00.000000Z",
    )


class NoLibrary:
    """The re-ranker is given its features."""

    def read_features(self, _: object) -> dict[str, VideoFeatures]:
        return {}


def test_look_alikes_are_no_duplicates(shared_data: Path, tmp_path: Path) -> None:
    settings = load_settings("configs/local.yaml", [f"data_dir={tmp_path}"])
    pairs = drawn_pairs(shared_data)
    assert len(pairs) >= LEAST_PAIRS
    features = described({path for pair in pairs for path in pair}, settings)
    folder = weights_folder(settings)
    calibration = calibration_of(folder)
    reranker = ViSiLReranker(
        NoLibrary(),  # type: ignore[arg-type]
        NumpyComparator(folder),
        calibration,
        settings.matching,
        load_background(folder, calibration),
    )
    pixels, flagged = PixelCheck(settings), set()
    for pair in pairs:
        query, other = (reference(path, features[path]) for path in pair)
        found = reranker.compare(features[pair[0]], {other.id: features[pair[1]]})[other.id]
        if not found.segments:
            continue
        match = Match(
            reference_id=other.id,
            library="main",
            similarity=found.signals.similarity,
            probability=reranker.probability(found.signals),
            segments=found.segments,
        )
        checked = pixels.checked(query, match, {other.id: other})
        if checked.probability >= settings.policy.duplicate_probability:
            flagged.add(names_of(pair))
    assert not flagged
