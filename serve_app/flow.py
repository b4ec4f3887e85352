"""The whole graph on one screen.

    decode ──> embed ──> retrieve ──> rerank ──> decide        (a check)
                  │                      ↑
                  ├──────────────────────┘       └────> keep   (what a person will look at)
                  └────> register ──> keep                     (a registration)

A check that leaves doubt is looked at once more, with more views of the query (thorough).
Responses are passed on without being awaited, so frames and features go from step to step and never
through the ingress; only the last one is awaited. Only the flow knows the order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Self

from ray.serve.handle import DeploymentHandle, DeploymentResponse

from dubl.errors import DublError
from dubl.index.uploads import Upload
from dubl.matching.decision import decide, is_doubtful, keeps_evidence, surer
from dubl.rights.terms import CheckContext
from dubl.settings import Settings
from dubl.types import (
    MatchSet,
    ReferenceDraft,
    Registration,
    Sampling,
    Standing,
    Verdict,
    VideoSource,
)
from serve_app.calls import answer
from serve_app.progress import OnStage, followed

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Handles of the deployments."""

    decoder: DeploymentHandle
    embedder: DeploymentHandle
    retriever: DeploymentHandle
    reranker: DeploymentHandle
    librarian: DeploymentHandle
    ledger: DeploymentHandle

    @classmethod
    def of(cls, handles: Sequence[DeploymentHandle]) -> Self:
        """In the order of the fields."""
        names = (field.name for field in fields(cls))
        return cls(**dict(zip(names, handles, strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A verdict, and the responses that hold what it was made of."""

    verdict: Verdict
    clip: DeploymentResponse
    features: DeploymentResponse


class Flow:
    """Runs checks and registrations over the steps."""

    def __init__(
        self,
        steps: Steps,
        settings: Settings,
        *,
        query: Sampling,
        closer: Sampling,
        reference: Sampling,
        model_id: str,
    ) -> None:
        self._steps = steps
        self._policy = settings.policy
        self._evidence = settings.evidence
        self._keeps_uploads = settings.lookback.keep_uploads
        self._query_sampling = query
        self._closer_sampling = closer
        self._reference_sampling = reference
        self._model_id = model_id

    async def check(
        self,
        source: VideoSource,
        *,
        check_id: str,
        libraries: Sequence[str],
        exclude_ids: Sequence[str],
        registered_before: str,
        standing: asyncio.Future[Standing],
        context: CheckContext,
        upload: Upload,
        on_stage: OnStage,
    ) -> Verdict:
        """Looks once, and closer where that leaves doubt. `standing` is needed at the end alone."""
        look = partial(
            self._look,
            source,
            libraries=libraries,
            exclude_ids=exclude_ids,
            registered_before=registered_before,
            standing=standing,
            context=context,
            on_stage=on_stage,
        )
        first = best = await look(self._query_sampling)
        verdict = first.verdict
        # Who looks closely from the start sees no more by looking again.
        if is_doubtful(verdict, self._policy) and self._closer_sampling != self._query_sampling:
            closer = await look(self._closer_sampling)
            best = max(first, closer, key=lambda one: one.verdict.probability)
            verdict = surer(first.verdict, closer.verdict)
        if keeps_evidence(verdict, self._evidence):
            keep = self._steps.decoder.keep_query
            await _kept(keep.remote(check_id, source, best.clip, best.features))
        if self._keeps_uploads:
            await _kept(self._steps.librarian.keep_upload.remote(upload, best.features))
        return verdict

    async def check_kept(
        self,
        earlier_id: str,
        *,
        check_id: str,
        libraries: Sequence[str],
        standing: Standing,
        context: CheckContext,
    ) -> Verdict:
        """An upload of which the features are kept. What is kept to look at of its earlier check
        is kept of this one too, which has an id unless nobody will see it."""
        features = self._steps.librarian.upload_features.remote(earlier_id)
        candidates = self._steps.retriever.retrieve.remote(features, list(libraries), [], "")
        matches = await answer(self._steps.reranker.rerank.remote(features, candidates))
        if check_id:
            await _kept(self._steps.decoder.keep_again.remote(earlier_id, check_id))
        return decide(
            matches, self._policy, model_id=self._model_id, standing=standing, context=context
        )

    async def _look(
        self,
        source: VideoSource,
        sampling: Sampling,
        *,
        libraries: Sequence[str],
        exclude_ids: Sequence[str],
        registered_before: str,
        standing: asyncio.Future[Standing],
        context: CheckContext,
        on_stage: OnStage,
    ) -> Look:
        clip = self._steps.decoder.decode.remote(source, sampling)
        features = self._steps.embedder.embed.remote(clip)
        candidates = self._steps.retriever.retrieve.remote(
            features, list(libraries), list(exclude_ids), registered_before
        )
        matching = self._steps.reranker.rerank.remote(features, candidates)
        stages = {"decode": clip, "embed": features, "retrieve": candidates, "rerank": matching}
        async with followed(stages, on_stage):
            matches: MatchSet = await answer(matching)
        verdict = decide(
            matches, self._policy, model_id=self._model_id, standing=await standing, context=context
        )
        return Look(verdict=verdict, clip=clip, features=features)

    async def register(
        self, source: VideoSource, draft: ReferenceDraft, *, on_stage: OnStage
    ) -> Registration:
        known: Registration | None = await answer(
            self._steps.librarian.find.remote(draft, source.sha256)
        )
        if known is not None:
            return known
        clip = self._steps.decoder.decode.remote(source, self._reference_sampling)
        features = self._steps.embedder.embed.remote(clip)
        writing = self._steps.librarian.register.remote(draft, source, features)
        async with followed({"decode": clip, "embed": features, "register": writing}, on_stage):
            registration: Registration = await answer(writing)
        if registration.created and self._evidence.keep != "none":
            keep = self._steps.decoder.keep_reference
            await _kept(keep.remote(registration.reference.id, source, clip))
        return registration


async def _kept(response: Awaitable[None]) -> None:
    """A verdict without pictures is better than none."""
    try:
        await answer(response)
    except DublError as exc:
        logger.warning("nothing is kept to look at: %s: %s", exc.code, exc.detail)
