"""The same questions to faiss (one thread), on the same vectors.

"Equal recall" is that of Dubl's own search: of the ways in the order of their cost the first is
shown that finds as much, or the last one where none does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import Figure, plain, skipped
from benchmarks.usage import spending

if TYPE_CHECKING:
    import faiss

    from benchmarks.retrieval import Asked, Question, Rows
    from dubl.types import Float32Array

TRAINING_ROWS = 200_000
MAX_LISTS = 4096
NEIGHBORS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """An index of faiss, and its searches in the order of their cost."""

    recipe: str
    searches: Sequence[str]


WAYS = {
    "IVF-PQ": Way(
        recipe="IVF{lists},PQ64x8,Refine(SQfp16)",
        searches=[f"nprobe={n},k_factor_rf=10" for n in (8, 16, 32, 64, 128, 256)],
    ),
    "HNSW": Way(
        recipe="HNSW16_SQ8",
        searches=[f"efSearch={n}" for n in (32, 64, 128, 256, 512)],
    ),
}


def faiss_figure(
    name: str, size: int, question: Question, batches: Iterator[NDArray[np.float16]], dubl: Asked
) -> Figure:
    """`dubl` asks Dubl's own search: what it finds is to be reached."""
    title, way = f"faiss {name} of {size:.0e}, its CPU over Dubl's", WAYS[name]
    try:
        import faiss
    except ImportError:
        return skipped(title, unit="×", reason="faiss-cpu is not there (requirements/bench.txt)")
    from benchmarks.retrieval import ask, in_turn

    recipe = way.recipe.format(lists=min(int(4 * size**0.5), MAX_LISTS))
    with spending() as spent:
        index = _built(recipe, batches, size=size, dims=question.vectors.shape[1])
    faiss.omp_set_num_threads(1)
    peer = partial(ask, question, partial(_nearest, index))
    recall = dubl().recall
    for parameters in way.searches:
        faiss.ParameterSpace().set_index_parameters(index, parameters)
        if peer().recall >= recall:
            break
    mine, its = in_turn([dubl, peer])
    setup = (
        f"{recipe}, {parameters}: {its.cpu_ms:.1f} for {mine.cpu_ms:.1f} CPU ms; recall "
        f"{its.recall:.3f} for {mine.recall:.3f}, of copies alone {its.recall_of_copies:.3f} for "
        f"{mine.recall_of_copies:.3f}; in memory, built in {spent.cpu_s:.0f} CPU s"
    )
    return plain(title, its.cpu_ms / mine.cpu_ms, unit="×", setup=setup)


def _built(
    recipe: str, batches: Iterator[NDArray[np.float16]], *, size: int, dims: int
) -> faiss.Index:
    """Trained on the first rows, the vectors of a few thousand videos; by all cores."""
    import faiss

    faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))
    index = faiss.index_factory(dims, recipe, faiss.METRIC_INNER_PRODUCT)
    waiting: list[Float32Array] = []
    for batch in batches:
        waiting.append(batch.astype(np.float32))
        if index.is_trained or sum(map(len, waiting)) >= min(TRAINING_ROWS, size):
            rows = np.concatenate(waiting)
            waiting.clear()
            if not index.is_trained:
                index.train(rows)
            index.add(rows)
    return index


def _nearest(index: faiss.Index, vectors: Float32Array) -> Rows:
    rows: Rows = index.search(vectors, NEIGHBORS)[1]
    return rows
