"""Search among 10⁵, 10⁶ and 10⁷ frame vectors: time and recall@20 against exact search, and faiss.

Vectors are made like real ones (benchmarks/material.py). Half of the queries are edited copies of
stored frames, half are of videos that are not there. A query is a batch of QUERY_FRAMES vectors.
What is compared is asked in turn, so that the machine's load is the same for all.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.material import WORK, made_descriptors, unit
from benchmarks.results import Figure, at_least, at_most, plain, run, skipped
from benchmarks.usage import spending
from dubl.evaluation.report.writing import machine
from dubl.index.nearest import nearest_frames, partitions, probed
from dubl.index.schema import frames_schema
from dubl.index.store import LibraryStore
from dubl.settings import IndexSettings, load_settings
from dubl.types import FeatureSpec, Float32Array

SIZES = (100_000, 1_000_000, 10_000_000)
DIMS = 256
BATCH_ROWS = 100_000
VIDEO_FRAMES = 100
QUERY_FRAMES = 30
QUERIES = 8
ROUNDS = 3
NEIGHBORS = 20
COPY_COSINE = 0.85

if TYPE_CHECKING:
    import faiss

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Query vectors float32 [Q,D], and of each the NEIGHBORS nearest rows, exactly, [Q,20]."""

    vectors: Float32Array
    nearest: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Of one way of searching: share of the true neighbors found, medians a batch."""

    recall: float
    recall_of_copies: float
    cpu_ms: float
    wall_ms: float


Asked = Callable[[], Answered]


def measure() -> Iterator[Figure]:
    sizes = [int(float(text)) for text in sys.argv[1:]] or SIZES
    settings = load_settings("configs/local.yaml").index
    questions = {size: exact(size) for size in sizes}
    folders = {size: WORK / f"frames-{size}" for size in sizes}
    asked: list[Asked] = []
    for size in sizes:
        search = partial(_search, build(folders[size], size, settings), settings=settings)
        asked.append(partial(ask, questions[size], search))
    found = dict(zip(sizes, in_turn(asked), strict=True))
    for size in sizes:
        yield from _shown(size, found[size], settings)
    if len(found) > 1:
        yield _growth(found)
    for name in WAYS:
        for size, dubl in zip(sizes, asked, strict=True):
            yield faiss_figure(name, size, questions[size], batches(size), dubl)
    for folder in folders.values():
        shutil.rmtree(folder)


def batches(size: int) -> Iterator[NDArray[np.float16]]:
    """The stored vectors, [BATCH_ROWS,D] at a time; the same ones at each call."""
    for start in range(0, size, BATCH_ROWS):
        rng = np.random.default_rng([1, start])
        count = min(BATCH_ROWS, size - start)
        yield made_descriptors(count, dims=DIMS, rng=rng, video_s=VIDEO_FRAMES)


def exact(size: int) -> Question:
    """Questions with their exact answers, in bounded memory."""
    vectors = _query_vectors()
    best = np.full((len(vectors), NEIGHBORS), -np.inf, dtype=np.float32)
    rows = np.zeros((len(vectors), NEIGHBORS), dtype=np.int64)
    for number, batch in enumerate(batches(size)):
        values = vectors @ batch.astype(np.float32).T
        better = values > best.min(axis=1, keepdims=True)
        for query in np.flatnonzero(better.any(axis=1)):
            found = np.flatnonzero(better[query])
            joined = np.concatenate([best[query], values[query, found]])
            places = np.concatenate([rows[query], found + number * BATCH_ROWS])
            kept = np.argsort(-joined)[:NEIGHBORS]
            best[query], rows[query] = joined[kept], places[kept]
    return Question(vectors=vectors, nearest=rows)


def build(folder: Path, size: int, settings: IndexSettings) -> LibraryStore:
    """The library's `frames` table with its indexes, as upkeep builds them."""
    shutil.rmtree(folder, ignore_errors=True)
    store = LibraryStore(str(folder), spec=_spec(), settings=settings)
    for number, batch in enumerate(batches(size)):
        store.tables.frames.add(_frames(batch, number * BATCH_ROWS))
    with spending() as spent:
        store.optimize()
    sys.stderr.write(f"{size} rows: index built in {spent.cpu_s:.0f} CPU s\n")
    return store


def ask(question: Question, search: Callable[[Float32Array], Rows]) -> Answered:
    """Asks all batches twice, and measures the second time: the first one reads the index from
    disk, as a service does after its start."""
    starts = range(0, len(question.vectors), QUERY_FRAMES)
    parts = [question.vectors[start : start + QUERY_FRAMES] for start in starts]
    for part in parts:
        search(part)
    rows, cpu_ms, wall_ms = [], [], []
    for part in parts:
        with spending() as spent:
            rows.append(search(part))
        cpu_ms.append(spent.cpu_s * 1e3)
        wall_ms.append(spent.wall_s * 1e3)
    hits = [
        len(np.intersect1d(one, true)) / NEIGHBORS
        for one, true in zip(np.concatenate(rows), question.nearest, strict=True)
    ]
    copies = hits[: len(hits) // 2]
    return Answered(
        recall=float(np.mean(hits)),
        recall_of_copies=float(np.mean(copies)),
        cpu_ms=median(cpu_ms),
        wall_ms=median(wall_ms),
    )


def in_turn(asked: Sequence[Asked]) -> list[Answered]:
    """Of each the middle of ROUNDS measurements, by its CPU time."""
    rounds = [[one() for one in asked] for _ in range(ROUNDS)]
    return [
        sorted(column, key=lambda one: one.cpu_ms)[ROUNDS // 2]
        for column in zip(*rounds, strict=True)
    ]


def _query_vectors() -> Float32Array:
    rng = np.random.default_rng(2)
    count = QUERIES * QUERY_FRAMES
    (stored,) = batches(min(SIZES))
    chosen = rng.choice(len(stored), count // 2, replace=False)
    noise = unit(rng.standard_normal((count // 2, DIMS), np.float32))
    copies = unit(COPY_COSINE * stored[chosen] + np.sqrt(1 - COPY_COSINE**2) * noise)
    strangers = made_descriptors(count // 2, dims=DIMS, rng=rng).astype(np.float32)
    return np.concatenate([copies, strangers])


def _search(store: LibraryStore, vectors: Float32Array, *, settings: IndexSettings) -> Rows:
    found = nearest_frames(store.tables.frames, vectors.astype(np.float16), settings)
    rows = np.full((len(vectors), NEIGHBORS), -1, dtype=np.int64)
    videos = found["reference_id"].to_numpy(zero_copy_only=False).astype(np.int64)
    numbers = videos * VIDEO_FRAMES + found["time_s"].to_numpy().astype(np.int64)
    queries = found["query_index"].to_numpy()
    for query in range(len(vectors)):
        mine = numbers[queries == query]
        rows[query, : len(mine)] = mine
    return rows


def _frames(vectors: NDArray[np.float16], first: int) -> pa.Table:
    numbers = np.arange(first, first + len(vectors))
    ids = pa.array((numbers // VIDEO_FRAMES).astype(str))
    columns = [
        ids,
        pa.array(["main"] * len(vectors)),
        pa.array(["2026-01-01T00:00:00.000000Z"] * len(vectors)),
        pa.array((numbers % VIDEO_FRAMES).astype(np.float64)),
        pa.array((numbers % VIDEO_FRAMES).astype(np.float64)),
        pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIMS),
    ]
    return pa.Table.from_arrays(columns, schema=frames_schema(_spec()))


def _spec() -> FeatureSpec:
    return FeatureSpec(
        model_id="made",
        weights_sha256="0" * 64,
        rate_hz=1.0,
        frame_size=160,
        resize="squash",
        descriptor_dims=DIMS,
        regions=1,
        region_dims=1,
    )


def _shown(size: int, answered: Answered, settings: IndexSettings) -> Sequence[Figure]:
    setup = (
        f"batches of {QUERY_FRAMES} vectors, {probed(size)} of {partitions(size)} partitions "
        f"probed, refine {settings.refine_factor}; {machine()}"
    )
    copies, half = answered.recall_of_copies, "half of the queries have no copy there"
    return [
        at_least(f"recall@20 of {size:.0e}, edited copies", copies, 0.95, unit="", setup=setup),
        at_least(
            f"recall@20 of {size:.0e}, all queries",
            answered.recall,
            0.95,
            unit="",
            setup=f"{half}; {setup}",
        ),
        plain(f"batch of {size:.0e}, p50 CPU", answered.cpu_ms, unit="CPU ms", setup=setup),
        plain(f"batch of {size:.0e}, p50 wall", answered.wall_ms, unit="ms", setup=setup),
    ]


def _growth(found: dict[int, Answered]) -> Figure:
    small, large = min(found), max(found)
    return at_most(
        f"p50 CPU at {large:.0e} over {small:.0e}",
        found[large].cpu_ms / found[small].cpu_ms,
        3,
        unit="×",
        setup="the same batches",
    )


TRAINING_ROWS = 200_000
MAX_LISTS = 4096


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


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run("retrieval", measure)
