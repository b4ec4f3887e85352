"""Asks about strangers and copies in a library that grows; what was answered is kept on disk.

Each query is asked as the service asks, in the library of all clips; and by features of one pass
alone, without pixels, in the libraries of all sizes.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from dubl.assembly import make_embedder, make_library, model_id, weights_folder
from dubl.engine.in_process import InProcess
from dubl.errors import InputError, ResourceError
from dubl.evaluation.benchmark.run import own_library
from dubl.evaluation.scale.clips import LibraryClip, in_steps
from dubl.evaluation.scale.crowd import crowd
from dubl.evaluation.suite import TrueMatch, find_video
from dubl.index.reading import batched
from dubl.index.store import Entry
from dubl.matching.calibration import CALIBRATION_FILE
from dubl.media.sources import local_source
from dubl.settings import Settings
from dubl.types import Match, MatchSet, ReferenceDraft, VideoFeatures, VideoSource

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

GROUP = 16  # references registered at once
CROWD_GROUP = 2000  # distractors registered at once
MOST_MOTIONS = 200  # clips whose motion the crowd takes; chosen, bounds memory
ASKED_AT_ONCE = 4  # decoding goes on while another query is compared


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleQuery:
    """A query, its true matches, and the references that it is not compared with.

    `kind`: that of a stranger's clip, or the edit of a copy.
    """

    name: str
    path: Path
    kind: str
    truth: tuple[TrueMatch, ...] = ()
    left_out: tuple[str, ...] = ()


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class FoundMatch(_Record):
    reference: str
    probability: float
    similarity: float


class ScaleAnswer(_Record):
    """The matches of a query, best first: `checked` as the service finds them among all clips,
    `by_features` by the size of the library."""

    query: str
    checked: tuple[FoundMatch, ...]
    by_features: Mapping[int, tuple[FoundMatch, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The sizes of the growing library, ascending.

    real: sizes in clips; that of all clips is added. photographs: a tar file of pictures, for
    the larger sizes in `crowds`.
    """

    real: tuple[int, ...] = (30, 300, 1000)
    photographs: Path | None = None
    crowds: tuple[int, ...] = ()


class Scale:
    """The library and what was answered, in a folder. Asking again continues."""

    def __init__(
        self,
        clips: Sequence[LibraryClip],
        growth: Growth,
        settings: Settings,
        *,
        home: Path,
        first: Sequence[str],
    ) -> None:
        """`first`: ids of clips that come first in the growing library."""
        self._clips = clips
        self._growth = growth
        # A library holds for one model, an answer for one calibration and policy too.
        self._home = home / model_id(settings).replace("@", "-")
        self._settings = own_library(settings, self._home)
        self._steps = in_steps(clips, growth.real, first=first)
        self.sizes = (*sorted(set(self._steps.values())), *growth.crowds)

    def ask(
        self, queries: Sequence[ScaleQuery], *, minutes: float = float("inf")
    ) -> Sequence[ScaleAnswer] | None:
        """The answers in the order of queries, without those that fail; None if time ran out."""
        end = time.monotonic() + 60 * minutes
        self._home.mkdir(parents=True, exist_ok=True)
        with InProcess(self._settings) as process:
            if not self._register(process, end):
                return None
        self._register_crowd()
        path = self._home / f"answers-{_digest(self._settings)}.jsonl"
        known = {one.query: one for one in _read(path)}
        with InProcess(self._settings) as process, path.open("a", encoding="utf-8") as file:
            # In a mixed order, so that a part is a sample.
            mixed = np.random.default_rng(0).permutation(len(queries))
            left = [queries[place] for place in mixed if queries[place].name not in known]
            for some in batched(left, ASKED_AT_ONCE):
                if time.monotonic() > end:
                    return None
                asked = (self._answer(process, query) for query in some)
                for answer in process.run(_together(asked)):
                    known[answer.query] = answer
                    file.write(answer.model_dump_json() + "\n")
                file.flush()
                logger.info("asked about %d of %d", len(known), len(queries))
        return [known[query.name] for query in queries]

    def _register(self, process: InProcess, end: float) -> bool:
        """Registers the clips that are missing; false if time ran out."""
        known = make_library(self._settings).first.present_ids(clip.id for clip in self._clips)
        missing = [clip for clip in self._clips if clip.id not in known]
        for count, group in enumerate(batched(missing, GROUP), 1):
            if time.monotonic() > end:
                break
            process.run(_together(self._registered(process, clip) for clip in group))
            logger.info("registered %d of %d", min(count * GROUP, len(missing)), len(missing))
        process.call(process.steps.librarian.keep_up)
        return time.monotonic() <= end

    async def _registered(self, process: InProcess, clip: LibraryClip) -> None:
        draft = ReferenceDraft(id=clip.id, library=_step_name(self._steps[clip.id]))
        try:
            source = await asyncio.to_thread(_source, clip.path)
            await process.flow.register(source, draft, again=False, on_stage=lambda _: None)
        except (InputError, ResourceError) as exc:
            logger.warning("%s fails: %s", clip.path, exc.detail)

    def _register_crowd(self) -> None:
        growth = self._growth
        if growth.photographs is None or not growth.crowds:
            return
        store = make_library(self._settings).first
        have = sum(store.libraries().values())
        if have >= growth.crowds[-1]:
            return
        ids = [clip.id for clip in self._clips[:MOST_MOTIONS]]
        motions = [one for one in store.read_features(ids).values() if len(one.timestamps_s) > 1]
        embedder = make_embedder(self._settings)
        people = crowd(
            growth.photographs, motions, embedder, count=growth.crowds[-1] - len(self._clips)
        )
        for some in batched(enumerate(people, len(self._clips)), CROWD_GROUP):
            store.register([self._entry(place, features) for place, features in some])
            logger.info("crowd: %d of %d", some[-1][0] + 1, growth.crowds[-1])
        store.optimize(full=True)

    def _entry(self, place: int, features: VideoFeatures) -> Entry:
        size = next(size for size in self._growth.crowds if place < size)
        name = f"crowd-{place:07d}"
        return Entry(
            draft=ReferenceDraft(id=name, library=_step_name(size)),
            source=VideoSource(path=name, name=name, sha256="", size_bytes=0),
            features=features,
        )

    async def _answer(self, process: InProcess, query: ScaleQuery) -> ScaleAnswer:
        try:
            source = await asyncio.to_thread(_source, query.path)
            asked = await process.ask(
                source, libraries=self._until(len(self._clips)), exclude_ids=query.left_out
            )
            by_features = await self._by_features(process, source, query.left_out)
        except (InputError, ResourceError) as exc:
            logger.warning("%s fails: %s", query.path, exc.detail)
            return ScaleAnswer(query=query.name, checked=(), by_features={})
        return ScaleAnswer(
            query=query.name, checked=_found(asked.verdict.matches), by_features=by_features
        )

    async def _by_features(
        self, process: InProcess, source: VideoSource, left_out: Sequence[str]
    ) -> dict[int, tuple[FoundMatch, ...]]:
        steps, lane = process.steps, process.steps.lanes[0]
        clip = steps.decoder.decode.remote(source, lane.space.query)
        features = lane.embedder.embed.remote(clip)
        found: dict[int, tuple[FoundMatch, ...]] = {}
        for size in self.sizes:
            candidates = lane.retriever.retrieve.remote(
                features, self._until(size), list(left_out), ""
            )
            matches: MatchSet = await lane.reranker.rerank.remote(features, candidates)
            found[size] = _found(matches.matches)
        return found

    def _until(self, size: int) -> list[str]:
        """The libraries that together have so many references."""
        return [_step_name(one) for one in self.sizes if one <= size]


async def _together(work: Iterable[Awaitable[Result]]) -> list[Result]:
    return await asyncio.gather(*work)


def _digest(settings: Settings) -> str:
    """A name for what turns features into a probability and an outcome."""
    parts = (
        (weights_folder(settings) / CALIBRATION_FILE).read_bytes(),
        settings.policy.model_dump_json().encode(),
        settings.matching.model_dump_json().encode(),
    )
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def _step_name(size: int) -> str:
    """The library of the references that a library of this size has, and the smaller ones not."""
    return f"up-to-{size}"


def _source(path: Path) -> VideoSource:
    file = find_video(path.parent, path.name)
    return local_source(file, name=str(file))


def _found(matches: Sequence[Match]) -> tuple[FoundMatch, ...]:
    return tuple(
        FoundMatch(
            reference=one.reference_id, probability=one.probability, similarity=one.similarity
        )
        for one in matches
    )


def _read(path: Path) -> Iterator[ScaleAnswer]:
    """The answers that were kept."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield ScaleAnswer.model_validate_json(line)
