"""Sound: five seconds found among 1 000 references by edit, false matches of strangers, costs.

References are made by rules (music, speech by espeak-ng, scenes, ten seconds each) and training
clips with sound. Nothing of them was trained on but some clips. An excerpt is found if the segment
of the greatest likelihood is in its own reference. Training clips are asked as a whole.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.results import Figure, at_least, at_most, plain, run
from benchmarks.sound_edits import EDITS, Edit, Samples, can_talk, edited, made, read, talk
from dubl.assembly import (
    make_embedder,
    make_reranker,
    make_retriever,
    make_store,
    query_sampling,
    reference_sampling,
)
from dubl.footage.sounds import RATE_HZ
from dubl.index.rows import Entry
from dubl.media.bands import STEP_S, bands_of
from dubl.media.decoder import FileDecoder
from dubl.media.sources import local_source
from dubl.settings import load_settings
from dubl.sound.alignment import align
from dubl.sound.describer import SoundDescriber
from dubl.types import (
    ReferenceDraft,
    Sampling,
    SoundClip,
    SoundFeatures,
    SoundSegment,
    Uint8Array,
    VideoFeatures,
    VideoSource,
)

REFERENCES = 1000
REFERENCE_S = 10.0
QUERIES = 60
QUERY_S = 5.0
_MARGIN_S = 1.3  # of the original beyond a query, which a faster one needs
STRANGERS = 1000
CANDIDATES = 10  # references that are aligned; the search proposes them
NEIGHBORS = 20  # rows of a window that vote
LIKELY = 0.5  # likelihood of a reported segment
HEARD_WINDOWS = 9  # of a clip, six seconds: less is seldom enough
_STRANGER_SEEDS = 100_000
TALKS = 7  # of each length
CHECKED = 20  # clips of a folder whose checks are measured
ROUNDS = 3  # of these checks
AIMS = {"tempo": 0.9, "speed": 0.9, "talk 5": 0.8}
FREE = ("noise 5 dB", "talk 0 dB", "pitch +2", "pitch -2")  # have no aim

DESCRIBER = SoundDescriber()


def describe(bands: Uint8Array) -> SoundFeatures:
    return DESCRIBER.describe(SoundClip(bands=bands, step_s=STEP_S, start_s=0.0))


class Library:
    """References in memory: an exact search, votes, then alignment."""

    def __init__(self, references: Sequence[SoundFeatures]) -> None:
        self._references = references
        self._rows = np.concatenate([one.descriptors for one in references]).astype(np.float32)
        counts = [len(one.times_s) for one in references]
        self._owners = np.repeat(np.arange(len(references)), counts)

    def best(self, query: SoundFeatures) -> tuple[int, SoundSegment | None]:
        """The reference with the likeliest segment; -1 without one."""
        found = [
            (segment.likelihood, int(number), segment)
            for number in self._candidates(query)
            for segment in align(query, self._references[number])[:1]
        ]
        if not found:
            return -1, None
        _, number, segment = max(found, key=lambda one: one[0])
        return number, segment

    def _candidates(self, query: SoundFeatures) -> NDArray[np.int64]:
        votes = np.zeros(len(self._references))
        for row in query.descriptors.astype(np.float32) @ self._rows.T:
            best = np.zeros(len(votes))
            near = np.argpartition(-row, NEIGHBORS)[:NEIGHBORS]
            np.maximum.at(best, self._owners[near], row[near])
            votes += best
        return np.argsort(-votes)[:CANDIDATES][np.sort(-votes)[:CANDIDATES] < 0]


def figures(clips: Sequence[Path]) -> Iterator[Figure]:
    """clips: folders with a manifest.json, of whose training split the sound is heard."""
    real = [sound for folder in clips for _, sound in _heard(folder)]
    count = REFERENCES - len(real)
    sounds = [made(seed, REFERENCE_S) for seed in range(count)]
    started = time.process_time()
    described = [describe(bands_of(one)) for one in sounds]
    minutes = count * REFERENCE_S / 60
    cost_s = (time.process_time() - started) / minutes
    library = Library([*described, *(describe(bands_of(one)) for one in real)])
    rng = np.random.default_rng(0)
    setup = f"{count} references made by rules, {len(real)} of training clips"
    if not can_talk():
        setup += "; babble in place of speech, as espeak-ng is not installed"
    room = sum(one.descriptors.nbytes + one.times_s.nbytes for one in described) / minutes
    yield plain("bands and descriptors", cost_s, unit="CPU s a minute of sound", setup=setup)
    yield plain("stored", room, unit="bytes a minute of sound", setup=setup)
    for folder in clips:
        yield _cost_of_checks(folder)
    yield _false(library, setup)
    yield _voices()
    for name, edit in EDITS.items():
        yield _found(name, edit, sounds, library, rng, setup)
        if real:
            yield _found_whole(name, edit, real, library, rng, count)


def _cost_of_checks(folder: Path) -> Figure:
    """Checks of training clips with sound in a library of all of them, with and without sound."""
    chosen = list(itertools.islice((path for path, _ in _heard(folder)), CHECKED))
    sources = [local_source(path, name=path.name) for path in chosen]
    spent = {True: 0.0, False: 0.0}
    with tempfile.TemporaryDirectory() as data:
        checks = {sound: _Checks(Path(data) / str(sound), sources, sound=sound) for sound in spent}
        for number in range(ROUNDS):
            for source, sound in itertools.product(sources, (number % 2 == 0, number % 2 == 1)):
                spent[sound] += checks[sound].cpu_s(source)
    return at_most(
        f"a check with sound, clips of {folder.name}",
        spent[True] / spent[False] - 1,
        0.1,
        unit="of the CPU without, more",
        setup=f"{len(chosen)} clips, decoded, embedded, searched, re-ranked in one process, "
        f"{ROUNDS} rounds; {spent[False] / ROUNDS / len(chosen):.2f} CPU s a check without",
    )


class _Checks:
    """The steps of a check in this process, over a library of these videos."""

    def __init__(self, data: Path, sources: Sequence[VideoSource], *, sound: bool) -> None:
        chosen = [f"data_dir={data}", f"sound.enabled={str(sound).lower()}", "model.threads=1"]
        settings = load_settings("configs/local.yaml", chosen, environment={})
        self._decoder = FileDecoder(settings.media)
        self._embedder = make_embedder(settings)
        self._sampling = query_sampling(settings)
        sampling = reference_sampling(settings)
        make_store(settings).register(
            [
                Entry(
                    draft=ReferenceDraft(id=one.name, library="clips"),
                    source=one,
                    features=self._features(one, sampling),
                )
                for one in sources
            ]
        )
        self._retriever, self._reranker = make_retriever(settings), make_reranker(settings)

    def cpu_s(self, source: VideoSource) -> float:
        """CPU seconds of all threads for one check."""
        started = time.process_time()
        features = self._features(source, self._sampling)
        self._reranker.rerank(features, self._retriever.retrieve(features))
        return time.process_time() - started

    def _features(self, source: VideoSource, sampling: Sampling) -> VideoFeatures:
        (features,) = self._embedder.embed([self._decoder.decode(source, sampling=sampling)])
        return features


def _found(
    name: str,
    edit: Edit,
    sounds: Sequence[Samples],
    library: Library,
    rng: np.random.Generator,
    setup: str,
) -> Figure:
    """The excerpts are edited as one sound, so that filters and codecs start once."""
    numbers = np.linspace(0, len(sounds) - 1, QUERIES).astype(np.int64)
    length = int((QUERY_S + _MARGIN_S) * RATE_HZ)
    starts = rng.integers(0, int(REFERENCE_S * RATE_HZ) - length, QUERIES)
    cuts = [sounds[number][at : at + length] for number, at in zip(numbers, starts, strict=True)]
    whole = edited(np.concatenate(cuts), edit, rng)
    places = (np.arange(QUERIES) * length / edit.speed).astype(np.int64)
    parts = [whole[at : at + int(QUERY_S * RATE_HZ)] for at in places]
    answers = [library.best(describe(bands_of(part))) for part in parts]
    right = [answer[0] == number for answer, number in zip(answers, numbers, strict=True)]
    likely = [
        hit and answer[1] is not None and answer[1].likelihood >= LIKELY
        for hit, answer in zip(right, answers, strict=True)
    ]
    setup = f"{QUERIES} excerpts of 5 s; {np.mean(likely):.3f} with likelihood ≥ {LIKELY}; {setup}"
    title, value = f"top 1, {name}", float(np.mean(right))
    if name in FREE:
        return plain(title, value, unit="", setup=setup)
    aim = next((aim for start, aim in AIMS.items() if name.startswith(start)), 0.95)
    return at_least(title, value, aim, unit="", setup=setup)


def _false(library: Library, setup: str) -> Figure:
    strangers = (made(_STRANGER_SEEDS + seed, QUERY_S) for seed in range(STRANGERS))
    found = [library.best(describe(bands_of(one)))[1] for one in strangers]
    likelihoods = np.array([0.0 if one is None else one.likelihood for one in found])
    return at_most(
        "false matches of strangers",
        float((likelihoods >= LIKELY).sum()),
        0,
        unit=f"of {STRANGERS}",
        setup=f"likelihood ≥ {LIKELY}, greatest {likelihoods.max():.2f}; {setup}",
    )


def _voices() -> Figure:
    """Long talks of strangers, which one kind of voice reads."""
    rng = np.random.default_rng(_STRANGER_SEEDS)
    talks = [describe(bands_of(talk(seconds, rng))) for seconds in (12.0, 20.0, 40.0) * TALKS]
    found = [
        max((one.likelihood for one in align(*pair)), default=0.0)
        for pair in itertools.combinations(talks, 2)
    ]
    return at_most(
        "false matches of long talks",
        float(sum(one >= LIKELY for one in found)),
        0,
        unit=f"of {len(found)} pairs",
        setup=f"12 to 40 s each, likelihood ≥ {LIKELY}, greatest {max(found):.2f}",
    )


def _found_whole(
    name: str,
    edit: Edit,
    real: Sequence[Samples],
    library: Library,
    rng: np.random.Generator,
    first: int,
) -> Figure:
    """Whole clips, of which some seconds are heard. `first`: the reference of the first one."""
    hits = []
    for number, sound in enumerate(real, first):
        query = describe(bands_of(edited(sound, edit, rng)))
        if len(query.times_s) < HEARD_WINDOWS:
            continue
        found, segment = library.best(query)
        hits.append(found == number and segment is not None and segment.likelihood >= LIKELY)
    setup = f"{len(hits)} training clips, likelihood ≥ {LIKELY}"
    title, value = f"clips found, {name}", float(np.mean(hits))
    if name in FREE:
        return plain(title, value, unit="", setup=setup)
    return at_least(title, value, 0.8, unit="", setup=setup)


def _heard(folder: Path) -> Iterator[tuple[Path, Samples]]:
    """Training clips that have a sound of at least two seconds, with it."""
    for entry in json.loads((folder / "manifest.json").read_text(encoding="utf-8")):
        if entry["split"] != "train":
            continue
        with suppress(av.error.FFmpegError):
            sound = read(folder / entry["file"])
            if len(sound) >= 2 * RATE_HZ and np.abs(sound).max() > 0.01:
                yield folder / entry["file"], sound


if __name__ == "__main__":
    run("sound", partial(figures, [Path(text) for text in sys.argv[1:]]))
