"""How well a comparator parts copies from look-alikes among held-out clips.

Each edited version of a held-out clip asks for its original among the originals of all held-out
clips. Plain Chamfer similarity of the same features ("ViSiL_f") is the yardstick.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubl.errors import ConfigurationError
from dubl.models.chamfer import chamfer
from dubl.models.visil import Visil
from dubl.models.visil_config import VisilConfig
from dubl.training.clip_batches import Rows
from dubl.training.feature_pack import NO_GUEST, FeaturePack
from dubl.training.validation import Quality, micro_average_precision

FRAMES = 16
CHUNK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipQueries:
    """Queries [M,T,R,D] and references [N,U,R,D]; `right` and `counted`, both [M,N], say which
    pairs are copies and which pairs count; `kinds` and `edits` [M] of the queries."""

    queries: Tensor
    references: Tensor
    right: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    kinds: NDArray[np.str_]
    edits: NDArray[np.str_]


def make_clip_queries(pack: FeaturePack, *, share: float) -> ClipQueries:
    """`share` of each edited clip, from its middle, against whole originals.

    Both sides have 16 rows; a clip that an edit shows as well counts neither way. Raises
    ConfigurationError where nothing is held out.
    """
    numbers = pack.select(validation=True)
    if not len(numbers):
        raise ConfigurationError("no clip is held out: validation needs some")
    queries, right, counted, kinds, edits = [], [], [], [], []
    for number in numbers:
        features = pack.features[number]
        for version in range(1, len(features.regions)):
            queries.append(features.regions[version][_rows(features.regions.shape[1], share)])
            right.append(numbers == number)
            guest = features.guests[version]
            counted.append((numbers != guest) | (guest == NO_GUEST))
            kinds.append(pack.items[number].kind)
            edits.append(pack.items[number].edits[version])
    originals = [pack.features[number].regions[0] for number in numbers]
    references = [original[_rows(len(original), 1.0)] for original in originals]
    return ClipQueries(
        queries=torch.from_numpy(np.stack(queries)).float(),
        references=torch.from_numpy(np.stack(references)).float(),
        right=np.stack(right),
        counted=np.stack(counted),
        kinds=np.array(kinds),
        edits=np.array(edits),
    )


@torch.no_grad()
def scores(network: Visil | None, data: ClipQueries) -> NDArray[np.float32]:
    """Similarity [M,N], the larger of both directions; without a network, plain Chamfer."""
    model = network or Visil(
        VisilConfig(dims=data.queries.shape[-1], attention="none", symmetric=True)
    )
    model.eval()
    references, rows = model.index_video(data.references), []
    for part in torch.split(data.queries, CHUNK):
        queries = model.index_video(part)
        if network is None:
            frames = model.frame_similarity(queries, references)
            rows.append(torch.maximum(chamfer(frames), chamfer(frames.mT)).view(len(part), -1))
        else:
            forwards = network.similarity(queries, references)
            rows.append(torch.maximum(forwards, network.similarity(references, queries).T))
    values: NDArray[np.float32] = torch.cat(rows).numpy()
    return values


def quality(
    values: NDArray[np.float32], data: ClipQueries, chosen: NDArray[np.bool_] | None = None
) -> Quality:
    """Micro-AP and recall at precision 1 over the pairs of all queries, or of those `chosen`."""
    rows = np.ones(len(values), dtype=np.bool_) if chosen is None else chosen
    counted = data.counted[rows]
    right = data.right[rows][counted]
    return micro_average_precision(values[rows][counted], right, int(right.sum()))


def _rows(length: int, share: float) -> Rows:
    """16 rows spread over the middle `share` of a clip."""
    kept = length * share
    first = (length - kept) / 2
    return np.floor(first + (np.arange(FRAMES) + 0.5) * kept / FRAMES).astype(np.int64)
