"""The same questions to faiss (one thread), on the same vectors.

"Equal recall" is that of Dubl's own search: of the ways in the order of their cost the first is
shown that finds as much, or the last one where none does. What cannot lie in the memory that a
common machine has is left out, and said so.
"""

from __future__ import annotations

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

    from benchmarks.retrieval import Question, Rows
    from dubl.types import Float32Array

TRAINING_ROWS = 200_000
MOST_LISTS = 4096
NEIGHBORS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """An index of faiss, its searches in the order of their cost, and where its build becomes
    longer than all other benchmarks together."""

    recipe: str
    searches: Sequence[str]
    most_rows: int


WAYS = {
    "IVF-PQ": Way(
        recipe="IVF{lists},PQ64x8,Refine(SQfp16)",
        searches=[f"nprobe={n},k_factor_rf=10" for n in (8, 16, 32, 64, 128, 256)],
        most_rows=10_000_000,
    ),
    "HNSW": Way(
        recipe="HNSW16_SQ8",
        searches=[f"efSearch={n}" for n in (32, 64, 128, 256, 512)],
        most_rows=1_000_000,
    ),
}


def faiss_figure(
    name: str, size: int, question: Question, batches: Iterator[NDArray[np.float16]], recall: float
) -> Figure:
    """`recall` is what is to be reached."""
    title, way = f"faiss {name} of {size:.0e}, p50 CPU", WAYS[name]
    if size > way.most_rows:
        reason = "about 4 GB in memory (12 in float32), and a quarter of an hour or more to build"
        return skipped(title, unit="CPU ms", reason=reason)
    try:
        import faiss
    except ImportError:
        reason = "faiss-cpu is not installed (dependency group bench)"
        return skipped(title, unit="CPU ms", reason=reason)
    from benchmarks.retrieval import ask

    faiss.omp_set_num_threads(1)
    recipe = way.recipe.format(lists=min(int(4 * size**0.5), MOST_LISTS))
    with spending() as spent:
        index = _built(recipe, batches, size=size, dims=question.vectors.shape[1])
    for parameters in way.searches:
        faiss.ParameterSpace().set_index_parameters(index, parameters)
        answered = ask(question, partial(_nearest, index))
        if answered.recall >= recall:
            break
    setup = (
        f"{recipe}, {parameters}, recall {answered.recall:.3f} (Dubl: {recall:.3f}), copies alone "
        f"{answered.recall_of_copies:.3f}; in memory, built in {spent.cpu_s:.0f} CPU s"
    )
    return plain(title, answered.cpu_ms, unit="CPU ms", setup=setup)


def _built(
    recipe: str, batches: Iterator[NDArray[np.float16]], *, size: int, dims: int
) -> faiss.Index:
    """Trained on the first rows, of which the vectors of a few thousand videos are."""
    import faiss

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
