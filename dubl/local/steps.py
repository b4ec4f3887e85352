"""Checks and registrations by the same steps as the service, one after the other, in this process.

Steps are built when they are first needed: listing a library loads no network.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from dubl.assembly import (
    closer_sampling,
    make_decoder,
    make_embedder,
    make_kept_videos,
    make_reranker,
    make_retriever,
    make_space,
    make_store,
    make_verifier,
    model_id,
    query_sampling,
    reference_sampling,
    still_sampling,
)
from dubl.client.operations import OnProgress
from dubl.errors import DublError
from dubl.matching.decision import decide, is_doubtful, keeps_evidence, surer, unsettled
from dubl.media.sources import hash_file
from dubl.media.spool import too_large
from dubl.ports import Embedder, Reranker, Retriever
from dubl.rights.terms import CheckContext
from dubl.settings import Settings
from dubl.types import (
    FrameClip,
    FrameFound,
    Reference,
    ReferenceDraft,
    Sampling,
    Standing,
    Verdict,
    VideoFeatures,
    VideoSource,
)

if TYPE_CHECKING:
    from dubl.index.store import LibraryStore
    from dubl.matching.verification import Verifier
    from dubl.media.keeping import KeptVideos
    from dubl.media.sandbox import SandboxedDecoder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A verdict and what it was made of."""

    verdict: Verdict
    clip: FrameClip
    features: VideoFeatures


class LocalSteps:
    """The steps of one data folder. Methods raise what the steps raise."""

    def __init__(self, settings: Settings) -> None:
        # What was just written is asked for next: readers look at each question.
        index = settings.index.model_copy(update={"consistency_interval_s": 0.0})
        media = settings.media.model_copy(update={"decode_processes": 1})
        self._settings = settings.model_copy(update={"index": index, "media": media})

    def close(self) -> None:
        """Ends the decoding processes."""
        if "_decoder" in vars(self):
            self._decoder.close()

    @contextmanager
    def obtained(self, file: Path | str, link: str) -> Iterator[VideoSource]:
        """The video of a file of this machine, wherever it lies, or of a link."""
        if not link:
            yield _opened(Path(file), self._settings.media.max_size_bytes)
            return
        from dubl.media.links import fetch_link

        spool = self._settings.spool_dir
        source = fetch_link(link, spool_dir=spool, settings=self._settings.media)
        try:
            yield source
        finally:
            Path(source.path).unlink(missing_ok=True)

    def check(
        self,
        source: VideoSource,
        *,
        check_id: str,
        libraries: Sequence[str],
        standing: Standing,
        context: CheckContext,
        tell: OnProgress,
    ) -> Verdict:
        """Looks once, and closer where that leaves doubt; keeps what a person will look at."""
        sampling, closer = query_sampling(self._settings), closer_sampling(self._settings)
        look = partial(
            self._look, source, libraries=libraries, standing=standing, context=context, tell=tell
        )
        best = first = look(sampling)
        verdict = first.verdict
        if is_doubtful(verdict, self._settings.policy) and closer != sampling:
            second = look(closer)
            best = max(first, second, key=lambda one: one.verdict.probability)
            verdict = surer(first.verdict, second.verdict)
        if keeps_evidence(verdict, self._settings.evidence):
            with _kept():
                self.kept.keep_query(check_id, source, best.clip, best.features)
        return verdict

    def register(self, source: VideoSource, draft: ReferenceDraft) -> Reference:
        known = self.store.find(draft, source.sha256)
        if known is not None:
            return known.reference
        clip = self._decoder.decode(source, sampling=reference_sampling(self._settings))
        features = self._embedder.embed([clip])[0]
        from dubl.index.rows import Entry

        (registration,) = self.store.register(
            [Entry(draft=draft, source=source, features=features)]
        )
        if self._settings.evidence.keep != "none":
            with _kept():
                self.kept.keep_reference(registration.reference.id, source, clip)
        return registration.reference

    def find_frame(
        self, source: VideoSource, at_s: float, *, libraries: Sequence[str], limit: int
    ) -> tuple[FrameFound, ...]:
        clip = self._decoder.decode(
            source, sampling=still_sampling(make_space(self._settings), at_s)
        )
        (features,) = self._embedder.embed([clip])
        return tuple(self._retriever.find_frame(features, libraries=libraries, limit=limit))

    def _look(
        self,
        source: VideoSource,
        sampling: Sampling,
        *,
        libraries: Sequence[str],
        standing: Standing,
        context: CheckContext,
        tell: OnProgress,
    ) -> Look:
        tell("decode", 0.1)
        clip = self._decoder.decode(source, sampling=sampling)
        tell("embed", 0.5)
        features = self._embedder.embed([clip])[0]
        tell("retrieve", 0.8)
        candidates = self._retriever.retrieve(features, libraries=libraries)
        tell("rerank", 0.9)
        matches = self._reranker.rerank(features, candidates)
        doubtful = unsettled(matches, self._settings.policy, standing=standing, context=context)
        if self._verifier is not None and doubtful:
            tell("verify", 0.95)
            references = self.store.existing(ids=doubtful)
            matches = self._verifier.verify(
                source, matches, doubtful, references, decoder=self._decoder
            )
        verdict = decide(
            matches,
            self._settings.policy,
            model_id=model_id(self._settings),
            standing=standing,
            context=context,
        )
        return Look(verdict=verdict, clip=clip, features=features)

    @cached_property
    def store(self) -> LibraryStore:
        return make_store(self._settings)

    @cached_property
    def kept(self) -> KeptVideos:
        return make_kept_videos(self._settings)

    @cached_property
    def _decoder(self) -> SandboxedDecoder:
        return make_decoder(self._settings)

    @cached_property
    def _embedder(self) -> Embedder:
        return make_embedder(self._settings)

    @cached_property
    def _retriever(self) -> Retriever:
        return make_retriever(self._settings)

    @cached_property
    def _verifier(self) -> Verifier | None:
        most_bytes = self._settings.media.max_size_bytes
        return make_verifier(
            self._settings,
            self.kept,
            open_file=lambda path: _opened(Path(path), most_bytes),
        )

    @cached_property
    def _reranker(self) -> Reranker:
        return make_reranker(self._settings)


def _opened(path: Path, max_size_bytes: int) -> VideoSource:
    """Raises SourceNotFound, SourceTooLarge."""
    sha256 = hash_file(path)
    size_bytes = path.stat().st_size
    if size_bytes > max_size_bytes:
        raise too_large(max_size_bytes)
    return VideoSource(
        path=str(path.resolve()), sha256=sha256, size_bytes=size_bytes, name=path.name
    )


@contextmanager
def _kept() -> Iterator[None]:
    """A verdict without pictures is better than none."""
    try:
        yield
    except DublError as exc:
        logger.warning("evidence could not be stored: %s: %s", exc.code, exc.detail)
