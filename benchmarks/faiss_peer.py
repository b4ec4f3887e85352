"""The same questions to faiss (one thread), on the same vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import Figure, plain, skipped

if TYPE_CHECKING:
    import faiss

    from benchmarks.retrieval import Question, Rows
    from dubl.types import Float32Array

TRAINING_ROWS = 50_000
NEIGHBORS = 20
RECALL = 0.95
# Ways of searching in the order of their cost: the first that reaches RECALL is shown.
SEARCHES: dict[str, tuple[str, Sequence[str]]] = {
    "IVF-PQ": ("IVF{lists},PQ64x8,RFlat", [f"nprobe={n},k_factor_rf=10" for n in (8, 32, 128)]),
    "HNSW": ("HNSW16_SQ8", [f"efSearch={n}" for n in (32, 64, 128, 256, 512)]),
}
MOST_ROWS = {"IVF-PQ": 1_000_000, "HNSW": 100_000}


def faiss_figures(
    size: int, question: Question, batches: Iterator[NDArray[np.float16]]
) -> list[Figure]:
    try:
        import faiss
    except ImportError:
        reason = "faiss-cpu is not installed (dependency group bench)"
        return [
            skipped(f"faiss {name} of {size:.0e}", unit="CPU ms", reason=reason)
            for name in SEARCHES
        ]
    from benchmarks.retrieval import ask

    faiss.omp_set_num_threads(1)
    stored = np.concatenate([batch.astype(np.float32) for batch in batches])
    figures = []
    for name, (recipe, searches) in SEARCHES.items():
        if size > MOST_ROWS[name]:
            reason = "its build would take longer than the whole benchmark"
            figures.append(skipped(f"faiss {name} of {size:.0e}", unit="CPU ms", reason=reason))
            continue
        lists = int(4 * size**0.5)
        index = faiss.index_factory(
            stored.shape[1], recipe.format(lists=lists), faiss.METRIC_INNER_PRODUCT
        )
        index.train(stored[:: max(1, size // TRAINING_ROWS)])
        index.add(stored)
        for parameters in searches:
            faiss.ParameterSpace().set_index_parameters(index, parameters)
            answered = ask(question, partial(_nearest, index))
            if answered.recall >= RECALL:
                break
        setup = (
            f"{recipe.format(lists=lists)}, {parameters}, recall {answered.recall:.3f}, in memory"
        )
        figures.append(
            plain(
                f"faiss {name} of {size:.0e}, p50 CPU", answered.cpu_ms, unit="CPU ms", setup=setup
            )
        )
    return figures


def _nearest(index: faiss.Index, vectors: Float32Array) -> Rows:
    rows: Rows = index.search(vectors, NEIGHBORS)[1]
    return rows
