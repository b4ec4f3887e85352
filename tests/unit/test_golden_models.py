"""Models and losses against golden numbers: the authors' code on random inputs and weights.

Every case of every file in the folder of `--golden` is run. Gates: 1e-5 for features and losses,
1e-6 for similarities.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dubl.models.limac import PCAWhitening, stage_regions
from dubl.models.visil import Visil
from dubl.models.visil_config import VisilConfig
from dubl.training.comparator_trainer import (
    hard_negative_loss,
    info_nce,
    self_similarity_loss,
    similarity_regularization,
)

FEATURES = 1e-5
SIMILARITIES = 1e-6

Arrays = Mapping[str, NDArray[np.generic]]


class Case(NamedTuple):
    """One case of one file."""

    path: Path
    name: str


KINDS: dict[str, tuple[str, Callable[[Path], list[str]]]] = {
    "similarity_case": ("s2vs_similarity*.npz", lambda path: similarity_names(path)),
    "limac_case": ("limac_regions*.npz", lambda path: prefixes(path, "stage1")),
    "whitening_case": ("pca_whitening*.npz", lambda path: prefixes(path, "V")),
    "loss_case": ("s2vs_losses*.npz", lambda path: loss_names(path)),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder = Path(metafunc.config.getoption("--golden"))
    for fixture, (pattern, names_of) in KINDS.items():
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, list(parameters(folder, pattern, names_of)))


def parameters(
    folder: Path, pattern: str, names_of: Callable[[Path], list[str]]
) -> Iterator[object]:
    """Cases, or what says that there is none: a skip without files, a failure for an empty file."""
    paths = sorted(folder.glob(pattern))
    if not paths:
        skip = pytest.mark.skip(reason=f"no golden numbers: {folder / pattern} matches no file")
        yield pytest.param(None, marks=skip, id="absent")
    for path in paths:
        for name in names_of(path) or [""]:
            yield pytest.param(Case(path, name), id=f"{path.stem}:{name or 'no-case'}")


def read(case: Case) -> Arrays:
    with np.load(case.path) as file:
        return {name: file[name] for name in file.files}


def prefixes(path: Path, key: str) -> list[str]:
    """Case prefixes such as "name/": one for each entry called `key`, "/" for the bare one."""
    with np.load(path) as file:
        names = [name for name in file.files if name.split("/")[-1] == key]
    return [name.removesuffix(key) or "/" for name in names]


def section(case: Case) -> Arrays:
    start = "" if case.name == "/" else case.name
    arrays = read(case)
    return {k.removeprefix(start): value for k, value in arrays.items() if k.startswith(start)}


def tensor(array: NDArray[np.generic]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def require(case: Case) -> None:
    assert case.name, f"{case.path.name} holds no case that this test understands"


def assert_close(actual: torch.Tensor, expected: NDArray[np.generic], gate: float) -> None:
    """Gate relative to the value where it exceeds 1."""
    values = actual.detach().numpy().reshape(expected.shape)
    np.testing.assert_allclose(values, expected.astype(np.float64), rtol=gate, atol=gate)


# --- S2VS similarity ---------------------------------------------------------------------------


def similarity_names(path: Path) -> list[str]:
    with np.load(path) as file:
        pattern = re.compile(r"(.+)/query(?:_indexed)?$")
        found = [match.group(1) for name in file.files if (match := pattern.match(name))]
    return sorted(set(found))


def build_visil(arrays: Arrays) -> Visil:
    """The network of a file: its config, completed from the shapes of the weights."""
    state = {k.removeprefix("weights/"): tensor(v) for k, v in arrays.items() if "weights/" in k}
    config = json.loads(str(arrays["config"])) if "config" in arrays else {}
    projection = state.get("binarization.W")
    attention = "none"
    if "attention.context_vector.weight" in state:
        attention = "s2vs" if "attention.transform.weight" in state else "norm"
    network = Visil(
        VisilConfig(
            dims=int(config.get("dims", 512)),
            attention=attention,
            bits=0 if projection is None else projection.shape[1],
            symmetric=bool(config.get("symmetric", False)),
            padding=config.get("padding", "zeros"),
        )
    )
    assert network.config.bits > 0 or not config.get("binarization", False)
    assert attention != "none" or not config.get("attention", False)
    network.load_state_dict(state)
    return network.eval()


def index_side(network: Visil, arrays: Arrays, side: str) -> tuple[torch.Tensor, int]:
    """Indexed features [N,T,R,D] of a side, and how many outputs of the file were checked."""
    expected = arrays.get(f"{side}_indexed")
    if side not in arrays:
        return tensor(arrays[f"{side}_indexed"]), 0
    regions = tensor(arrays[side])
    if expected is not None and regions.dim() == 3:
        while len(regions) < expected.shape[-3]:  # the authors double short videos beforehand
            regions = torch.cat([regions, regions])
    indexed = network.index_video(regions)
    if expected is not None:
        shown = arrays.get(f"{side}_mask", np.ones(indexed.shape[:-2]))  # 0 in padded frames
        assert_close(indexed * tensor(shown)[..., None, None], expected, FEATURES)
    batched = indexed if indexed.dim() == 4 else indexed.unsqueeze(0)
    return batched, int(expected is not None)


def outputs(
    network: Visil, query: torch.Tensor, target: torch.Tensor
) -> Iterator[tuple[str, torch.Tensor]]:
    frames = network.frame_similarity(query, target)
    yield "f2f", frames
    yield "sim_f2f_chamfer", network.video_similarity(frames)
    raw = network.compare(frames)
    matrix = raw.clamp(-1, 1)
    yield "head_raw", raw
    yield "matrix", matrix
    yield "sim", network.video_similarity(matrix)


def unpadded(
    network: Visil, query: torch.Tensor, target: torch.Tensor, arrays: Arrays
) -> torch.Tensor:
    """Similarity of each pair of videos without the frames that the authors' masks leave out."""
    queries, targets = (
        [video[tensor(mask) > 0] for video, mask in zip(side, arrays[name], strict=True)]
        for side, name in ((query, "query_mask"), (target, "target_mask"))
    )
    return torch.stack([network.similarity(q, t) for q in queries for t in targets])


@torch.inference_mode()
def test_golden_similarity(similarity_case: Case) -> None:
    """Batches with masks are compared video by video: this network takes no masks."""
    require(similarity_case)
    whole = read(similarity_case)
    start = f"{similarity_case.name}/"
    arrays = {k.removeprefix(start): v for k, v in whole.items() if k.startswith(start)}
    network = build_visil(whole)
    query, checked = index_side(network, arrays, "query")
    target, target_checks = index_side(network, arrays, "target")
    checked += target_checks
    if "query_mask" in arrays:
        similarities = unpadded(network, query, target, arrays)
        assert_close(similarities, arrays["sim_unpadded"], SIMILARITIES)
        checked += 1
    else:
        for name, value in outputs(network, query, target):
            if name in arrays:
                assert_close(value, arrays[name], SIMILARITIES)
                checked += 1
    assert checked, f"{similarity_case.name} holds no output to compare: {sorted(arrays)}"


# --- Features ----------------------------------------------------------------------------------


@torch.inference_mode()
def test_golden_regions(limac_case: Case) -> None:
    require(limac_case)
    arrays = section(limac_case)
    stages = [tensor(arrays[f"stage{number}"]) for number in (1, 2, 3, 4)]
    assert_close(stage_regions(stages), arrays["regions"], FEATURES)


@torch.inference_mode()
def test_golden_whitening(whitening_case: Case) -> None:
    require(whitening_case)
    arrays = section(whitening_case)
    mean, values, vectors = (tensor(arrays[name]) for name in ("mean", "d", "V"))
    expected = [name for name in ("DVt", "y") if name in arrays]
    assert expected, "neither DVt nor y to compare with"
    components = arrays[expected[0]].shape[-1]
    whitening = PCAWhitening.from_decomposition(mean, values, vectors, components=components)
    if "DVt" in arrays:
        assert_close(whitening.DVt, arrays["DVt"], FEATURES)
    if "y" in arrays:
        assert_close(whitening(tensor(arrays["x"])), arrays["y"], FEATURES)


# --- Losses ------------------------------------------------------------------------------------


def loss_names(path: Path) -> list[str]:
    with np.load(path) as file:
        return [name for name in file.files if loss_of(name) is not None]


def loss_of(name: str) -> str | None:
    leaf = name.split("/")[-1]
    return next(
        (kind for kind in ("infonce_t", "sshn", "reg") if re.match(rf"{kind}\d*$", leaf)), None
    )


@torch.inference_mode()
def test_golden_losses(loss_case: Case) -> None:
    require(loss_case)
    arrays, expected = read(loss_case), read(loss_case)[loss_case.name]
    start, leaf = loss_case.name.rpartition("/")[0], loss_case.name.split("/")[-1]
    get = {
        k.rpartition("/")[2]: tensor(v) for k, v in arrays.items() if k.rpartition("/")[0] == start
    }
    kind = loss_of(leaf)
    if kind == "reg":
        value = similarity_regularization(get["reg_in"])
    elif kind == "sshn":
        similarities, labels = get["sim"], get["labels"]
        losses = (hard_negative_loss(similarities, labels), self_similarity_loss(similarities))
        value = torch.stack(losses)
    else:
        temperature = float(f"0.{leaf.removeprefix('infonce_t')}")
        value = info_nce(get["sim"], get["labels"], temperature=temperature)
    assert_close(value, expected, FEATURES)
