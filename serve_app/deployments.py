"""A deployment holds one step and calls it. serve_app/app.py binds them to a graph; placement
(replicas, CPUs, GPUs, queues) stands in serve_config.yaml.

Each replica imports this module: what one step alone stands on is imported where it is built."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING

from ray import serve

from dubl.assembly import (
    feature_spec,
    make_embedder,
    make_explainer,
    make_kept_videos,
    make_library,
    make_local_videos,
    make_reranker,
    make_retriever,
    make_verifier,
    space_settings,
)
from dubl.errors import StoreUnavailable
from dubl.media.sources import open_path
from dubl.settings import Settings
from dubl.types import (
    CandidateSet,
    FrameClip,
    FrameFound,
    Match,
    MatchSet,
    Page,
    Reference,
    ReferenceDraft,
    Registration,
    Sampling,
    VideoFeatures,
    VideoSource,
)
from serve_app.log import use_serve_log
from serve_app.metrics import (
    TELL_S,
    count_candidates,
    count_input,
    show_index,
)
from serve_app.upload_archive import UploadArchive

if TYPE_CHECKING:
    from dubl.contract.orders import ReferenceChange
    from dubl.index.rows import Entry
    from dubl.index.spaces import Holding
    from dubl.matching.explanation import Explainer
    from dubl.matching.verification import Verifier
    from dubl.media.local_videos import LocalVideos
    from dubl.types import Explanation, Matrices

logger = logging.getLogger(__name__)


class Stoppable:
    """A decoder for work that may be stopped."""

    def __init__(self, decoder: LocalVideos) -> None:
        self._decoder = decoder
        self.stopped = threading.Event()

    def decode(self, source: VideoSource, *, sampling: Sampling) -> FrameClip:
        """Raises what decoding does; LeaseLost from when it was stopped on."""
        return self._decoder.decode(source, sampling=sampling, stopped=self.stopped)


class Decoder:
    """VideoSource → FrameClip, on CPUs, in child processes that can be killed; the keeper of what
    people may look at, and of what doubtful matches are compared with once more."""

    def __init__(self, settings: Settings) -> None:
        use_serve_log()
        self._decoder = make_local_videos(settings)
        self._settings = settings

    @cached_property
    def _verifiers(self) -> Mapping[str, Verifier]:
        """By feature space; made for the first doubtful check."""
        made = {
            feature_spec(each).space_id: make_verifier(
                each,
                self._decoder.kept,
                open_file=partial(open_path, settings=each.media),
            )
            for each in space_settings(self._settings)
        }
        return {space_id: one for space_id, one in made.items() if one is not None}

    async def verify(
        self,
        source: VideoSource,
        matches: MatchSet,
        doubtful: Sequence[str],
        references: Sequence[Reference],
        space_id: str,
    ) -> MatchSet:
        """The matches, after a look at the pixels of what is doubtful. A cancelled call ends the
        process that decodes for it."""
        verifiers = await asyncio.to_thread(lambda: self._verifiers)
        if space_id not in verifiers:
            return matches
        verify, decoder = verifiers[space_id].verify, Stoppable(self._decoder)
        try:
            return await asyncio.to_thread(
                verify, source, matches, doubtful, references, decoder=decoder
            )
        except asyncio.CancelledError:
            decoder.stopped.set()
            raise

    async def keep_query(
        self, check_id: str, source: VideoSource, clip: FrameClip, features: VideoFeatures
    ) -> None:
        await asyncio.to_thread(self._decoder.keep_query, check_id, source, clip, features)

    async def keep_reference(self, reference_id: str, source: VideoSource, clip: FrameClip) -> None:
        await asyncio.to_thread(self._decoder.keep_reference, reference_id, source, clip)

    async def keep_again(self, earlier_id: str, check_id: str) -> None:
        await asyncio.to_thread(self._decoder.keep_again, earlier_id, check_id)

    async def decode(self, source: VideoSource, sampling: Sampling) -> FrameClip:
        """A cancelled call ends the process that decodes for it."""
        stopped = threading.Event()
        try:
            clip = await asyncio.to_thread(
                self._decoder.decode, source, sampling=sampling, stopped=stopped
            )
        except asyncio.CancelledError:
            stopped.set()
            raise
        count_input(clip.facts)
        return clip

    async def ready(self) -> bool:
        return True


class Embedder:
    """FrameClip → VideoFeatures, in batches over requests, on a GPU where there is one."""

    def __init__(self, settings: Settings) -> None:
        use_serve_log()
        self._embedder = make_embedder(settings)
        self.embed.set_max_batch_size(settings.serve.embed_batch_clips)
        self.embed.set_batch_wait_timeout_s(settings.serve.embed_batch_wait_s)

    @serve.batch
    async def embed(self, clips: list[FrameClip]) -> list[VideoFeatures]:
        return await asyncio.to_thread(self._embedder.embed, clips)

    async def ready(self) -> bool:
        return True


class Retriever:
    """VideoFeatures → CandidateSet, over the library's frames."""

    def __init__(self, settings: Settings) -> None:
        use_serve_log()
        self._retriever = make_retriever(settings)

    async def retrieve(
        self,
        features: VideoFeatures,
        libraries: Sequence[str],
        exclude_ids: Sequence[str],
        registered_before: str,
    ) -> CandidateSet:
        found = await asyncio.to_thread(
            self._retriever.retrieve,
            features,
            libraries=libraries,
            exclude_ids=exclude_ids,
            registered_before=registered_before,
        )
        count_candidates(len(found.candidates))
        return found

    async def find_frame(
        self, features: VideoFeatures, libraries: Sequence[str], limit: int
    ) -> tuple[FrameFound, ...]:
        return await asyncio.to_thread(
            self._retriever.find_frame, features, libraries=libraries, limit=limit
        )

    async def ready(self) -> bool:
        return True


class Reranker:
    """VideoFeatures + CandidateSet → MatchSet; reads the references' features itself."""

    def __init__(self, settings: Settings) -> None:
        use_serve_log()
        self._reranker = make_reranker(settings)
        self._settings = settings

    @cached_property
    def _explainer(self) -> Explainer:
        """Made for the first who asks: it opens the library once more."""
        return make_explainer(self._settings)

    async def rerank(self, features: VideoFeatures, candidates: CandidateSet) -> MatchSet:
        return await asyncio.to_thread(self._reranker.rerank, features, candidates)

    async def explain(self, check_id: str, match: Match) -> Explanation:
        """Evidence of a match, from what was kept of its check, in the check's own space."""
        return await asyncio.to_thread(lambda: self._explainer.explain(check_id, match))

    async def matrices(self, check_id: str, match: Match) -> Matrices:
        return await asyncio.to_thread(lambda: self._explainer.matrices(check_id, match))

    async def ready(self) -> bool:
        return True


class Librarian(UploadArchive):
    """The one writer of the library, in all its feature spaces: concurrent registrations go into
    one commit, and what was written is compacted and indexed from time to time."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # Serve awaits it
        use_serve_log()
        self._library = make_library(settings)
        self._store = self._library.first
        self._kept = make_kept_videos(settings)
        super().__init__(settings, self._library)
        self._seen_after_s = settings.index.consistency_interval_s
        self._writing = asyncio.Lock()
        self._clean_at = time.monotonic()  # an earlier life may have been killed
        self._tell: Callable[[], None] = lambda: None  # until there is something to tell
        self._upkeep = asyncio.create_task(self._keep_up(settings.index.upkeep_interval_s))
        self._telling = asyncio.create_task(self._tell_each())

    async def _keep_up(self, interval_s: float) -> None:
        kept = self._library.version
        while True:
            try:
                async with self._writing:
                    if self._clean_at <= time.monotonic():
                        again_s = await asyncio.to_thread(self._library.delete_orphan_frames)
                        self._clean_at = time.monotonic() + again_s
                    if self._library.version != kept:
                        await asyncio.to_thread(self._library.optimize)
                kept = self._library.version
                await self.sweep_uploads()
                self._tell = await asyncio.to_thread(self._index_told)
            except StoreUnavailable as exc:
                logger.error("upkeep failed, to be tried again: %s", exc.detail)
            await asyncio.sleep(interval_s)

    def _index_told(self) -> Callable[[], None]:
        return partial(
            show_index,
            self._store.index_health(),
            references=sum(self._store.libraries().values()),
            kept_up_at=time.time(),
        )

    async def _tell_each(self) -> None:
        """Metrics of the index, as of its last upkeep."""
        while True:
            self._tell()
            await asyncio.sleep(TELL_S)

    @contextmanager
    def _cleaned_up(self) -> Iterator[None]:
        """A write that fails half-way may leave frames without a reference."""
        try:
            yield
        except StoreUnavailable:
            self._clean_at = time.monotonic()
            raise

    async def register(
        self, draft: ReferenceDraft, source: VideoSource, *features: VideoFeatures
    ) -> Registration:
        """With its features in each space."""
        from dubl.index.rows import Entry

        video = [Entry(draft=draft, source=source, features=one) for one in features]
        registration: Registration = await self._write(video)
        return registration

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0)
    async def _write(self, videos: list[list[Entry]]) -> list[Registration]:
        async with self._writing:
            with self._cleaned_up():
                return await asyncio.to_thread(self._library.register, videos)

    async def find(self, draft: ReferenceDraft, sha256: str) -> Registration | None:
        """The registration that this one would repeat."""
        return await asyncio.to_thread(self._library.find, draft, sha256)

    async def get(self, reference_id: str) -> Reference:
        return await asyncio.to_thread(self._store.get, reference_id)

    async def existing(self, reference_ids: Sequence[str]) -> Sequence[Reference]:
        """Those of the references that are in the library."""
        return await asyncio.to_thread(self._store.existing, ids=reference_ids)

    async def list(
        self, library: str, owner: str, text: str, limit: int, cursor: str
    ) -> Page[Reference]:
        return await asyncio.to_thread(
            self._store.list, library=library, owner=owner, q=text, limit=limit, cursor=cursor
        )

    async def update(self, reference_id: str, change: ReferenceChange) -> Reference:
        """Returns when every reader sees new rights: a check that follows must obey them."""
        async with self._writing:
            reference = await asyncio.to_thread(
                self._library.update,
                reference_id,
                title=change.title,
                owner=change.owner,
                metadata=change.metadata,
                rights=change.rights,
            )
        if change.rights is not None:
            await asyncio.sleep(self._seen_after_s)
        return reference

    async def delete(self, reference_id: str) -> None:
        # Pictures first: what is cut off here is done again as long as the reference is there.
        await asyncio.to_thread(self._kept.remove_reference, reference_id)
        async with self._writing:
            with self._cleaned_up():
                await asyncio.to_thread(self._library.delete, reference_id)

    async def libraries(self) -> Mapping[str, int]:
        return await asyncio.to_thread(self._store.libraries)

    async def holdings(self) -> Mapping[str, Holding]:
        """How much of the library each feature space holds, by its id."""
        return await asyncio.to_thread(self._library.holdings)

    async def missing(self, space_id: str, after_id: str, limit: int) -> Sequence[Reference]:
        """What another space holds and this one lacks, in the order of ids."""
        return await asyncio.to_thread(
            self._library.missing, space_id, after_id=after_id, limit=limit
        )

    async def ready(self) -> bool:
        return True
