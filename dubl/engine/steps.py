"""The steps between a video and its matches, each a class of coroutines that the flow calls.

Serve's deployments (serve_app/deployments.py) and the in-process engine use the same classes. Every
process imports this module, so each step imports what it needs where it is built.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from dubl.assembly import (
    feature_spec,
    make_embedder,
    make_explainer,
    make_fingerprint_reader,
    make_local_videos,
    make_reranker,
    make_retriever,
    make_verifier,
    space_settings,
)
from dubl.engine.handles import Handle, Step
from dubl.engine.shell import NO_SHELL, Shell
from dubl.media.sources import open_path
from dubl.settings import Settings
from dubl.types import (
    CandidateSet,
    Described,
    FrameClip,
    FrameFound,
    Match,
    MatchSet,
    Reference,
    Sampling,
    Thumbnails,
    VideoFeatures,
    VideoSource,
)

if TYPE_CHECKING:
    from dubl.matching.explanation import Explainer
    from dubl.matching.verification import Verifier
    from dubl.media.fingerprints import Fingerprint
    from dubl.media.local_videos import LocalVideos
    from dubl.types import Explanation, Matrices


class Stoppable:
    """A decoder whose work can be stopped."""

    def __init__(self, decoder: LocalVideos) -> None:
        self._decoder = decoder
        self.stopped = threading.Event()

    def decode(self, source: VideoSource, *, sampling: Sampling) -> FrameClip:
        """Raises as the decoder does, and LeaseLost after a stop."""
        return self._decoder.decode(source, sampling=sampling, stopped=self.stopped)


class Decoder(Step):
    """VideoSource → FrameClip, on CPUs, in child processes. It also stores evidence and verifies
    doubtful matches.
    """

    def __init__(self, settings: Settings, shell: Shell = NO_SHELL) -> None:
        self._decoder = make_local_videos(settings)
        self._settings = settings
        self._shell = shell

    @cached_property
    def _verifiers(self) -> Mapping[str, Verifier]:
        """The verifiers by feature space, created for the first doubtful check."""
        made = {
            feature_spec(each).space_id: make_verifier(
                each,
                self._decoder.store,
                open_file=partial(open_path, settings=each.media),
            )
            for each in space_settings(self._settings)
        }
        return {space_id: one for space_id, one in made.items() if one is not None}

    @cached_property
    def _readers(self) -> Mapping[str, Callable[..., Fingerprint]]:
        """Readers of fingerprints by feature space."""
        spaces = space_settings(self._settings)
        return {feature_spec(one).space_id: make_fingerprint_reader(one) for one in spaces}

    async def verify(
        self,
        source: VideoSource,
        matches: MatchSet,
        doubtful: Sequence[str],
        references: Sequence[Reference],
        space_id: str,
    ) -> MatchSet:
        """The matches after pixel comparison of the doubtful ones. Cancelling stops the decoding
        process."""
        verifiers = await self.in_thread(lambda: self._verifiers)
        if space_id not in verifiers:
            return matches
        verify, decoder = verifiers[space_id].verify, Stoppable(self._decoder)
        try:
            return await self.in_thread(
                verify, source, matches, doubtful, references, decoder=decoder
            )
        except asyncio.CancelledError:
            decoder.stopped.set()
            raise

    async def keep_query(
        self,
        check_id: str,
        source: VideoSource,
        clip: FrameClip | Thumbnails | None,
        features: VideoFeatures,
    ) -> None:
        """Stores the evidence of a check. `clip`: None for a fingerprint, which has no pictures."""
        await self.in_thread(self._decoder.keep_query, check_id, source, clip, features)

    async def keep_reference(
        self, reference_id: str, source: VideoSource, clip: FrameClip | Thumbnails
    ) -> None:
        await self.in_thread(self._decoder.keep_reference, reference_id, source, clip)

    async def keep_again(self, earlier_id: str, check_id: str) -> None:
        await self.in_thread(self._decoder.keep_again, earlier_id, check_id)

    async def decode(self, source: VideoSource, sampling: Sampling) -> FrameClip:
        """Decodes a video. Cancelling the call stops the decoding process."""
        stopped = threading.Event()
        try:
            clip = await self.in_thread(
                self._decoder.decode, source, sampling=sampling, stopped=stopped
            )
        except asyncio.CancelledError:
            stopped.set()
            raise
        self._shell.count_input(clip.facts)
        return clip

    async def describe(
        self, source: VideoSource, sampling: Sampling, *embedders: Handle
    ) -> Described:
        """Reads a video in parts, has each embedded, and keeps no frames. Cancelling the call stops
        the decoding process."""
        from dubl.engine.parts import joined
        from dubl.media.evidence_store import thumbnails

        stopped = threading.Event()
        parts = self._decoder.parts(source, sampling=sampling, stopped=stopped)
        shown: list[Thumbnails] = []
        embedded: list[list[VideoFeatures]] = []
        try:
            while (clip := await self._next(parts, stopped)) is not None:
                shown.append(await self.in_thread(thumbnails, clip, is_part=True))
                if len(clip.frames):
                    embedded.append([await one.embed.remote(clip) for one in embedders])
                clip = None  # its frames are not needed while the next ones are read
        finally:
            await self.in_thread(parts.close)
        self._shell.count_input(shown[0].facts)
        return joined(shown, embedded)

    async def thumbnails_of(self, described: Described) -> Thumbnails:
        return described.thumbnails

    async def features_of(self, described: Described, place: int) -> VideoFeatures:
        return described.features[place]

    async def read_fingerprint(
        self, source: VideoSource, sampling: Sampling, space_id: str
    ) -> VideoFeatures:
        """The features of a fingerprint, with the rows of a sampling."""
        read = self._readers[space_id]
        return await self.in_thread(lambda: self._decoder.read(source, read, sampling))

    async def close(self) -> None:
        await self.in_thread(self._decoder.close)
        await super().close()

    async def _next(self, parts: Iterator[FrameClip], stopped: threading.Event) -> FrameClip | None:
        """The next part, read in a thread; it is over when this returns or raises."""
        reading = asyncio.ensure_future(self.in_thread(next, parts, None))
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            stopped.set()
            await asyncio.wait({reading})
            reading.exception()  # LeaseLost, as it was stopped
            raise


class Embedder(Step):
    """FrameClip → VideoFeatures, on a GPU if there is one."""

    def __init__(self, settings: Settings) -> None:
        self._embedder = make_embedder(settings)

    async def embed(self, clip: FrameClip) -> VideoFeatures:
        (features,) = await self.embed_all([clip])
        return features

    async def embed_all(self, clips: Sequence[FrameClip]) -> list[VideoFeatures]:
        """Embeds clips in one batch."""
        return await self.in_thread(self._embedder.embed, clips)


class Retriever(Step):
    """VideoFeatures → CandidateSet, over the library's frames."""

    def __init__(self, settings: Settings, shell: Shell = NO_SHELL) -> None:
        self._retriever = make_retriever(settings)
        self._shell = shell

    async def retrieve(
        self,
        features: VideoFeatures,
        libraries: Sequence[str],
        exclude_ids: Sequence[str],
        registered_before: str,
        reference_id: str = "",
    ) -> CandidateSet:
        """`reference_id`: of a candidate whatever the search finds; nothing if it is not there."""
        found = await self.in_thread(
            self._retriever.retrieve,
            features,
            libraries=libraries,
            exclude_ids=exclude_ids,
            registered_before=registered_before,
        )
        if reference_id:
            asked_for = await self.in_thread(self._retriever.candidate, reference_id)
            found = replace(found, asked_for=asked_for)
        self._shell.count_candidates(len(found.candidates))
        return found

    async def find_frame(
        self, features: VideoFeatures, libraries: Sequence[str], limit: int
    ) -> tuple[FrameFound, ...]:
        return await self.in_thread(
            self._retriever.find_frame, features, libraries=libraries, limit=limit
        )


class Reranker(Step):
    """VideoFeatures + CandidateSet → MatchSet; it reads the references' features itself."""

    def __init__(self, settings: Settings) -> None:
        self._reranker = make_reranker(settings)
        self._settings = settings

    @cached_property
    def _explainer(self) -> Explainer:
        """The explainer, created at the first call, as it opens the library again."""
        return make_explainer(self._settings)

    async def rerank(self, features: VideoFeatures, candidates: CandidateSet) -> MatchSet:
        return await self.in_thread(self._reranker.rerank, features, candidates)

    async def explain(self, check_id: str, match: Match) -> Explanation:
        """The evidence of a match, from the stored evidence of its check, in the check's space."""
        return await self.in_thread(lambda: self._explainer.explain(check_id, match))

    async def matrices(self, check_id: str, match: Match) -> Matrices:
        return await self.in_thread(lambda: self._explainer.matrices(check_id, match))
