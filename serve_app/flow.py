"""The whole graph on one screen.

    decode ──> embed ──> retrieve ──> rerank ──> decide        (a check)
                  │                      ↑
                  ├──────────────────────┘
                  └────> register                              (a registration)

A check that leaves doubt is looked at once more, with more views of the query (thorough).
Responses are passed on without being awaited, so frames and features go from step to step and never
through the ingress; only the last one is awaited. Only the flow knows the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Self

from ray.serve.handle import DeploymentHandle

from dubl.matching.decision import decide, is_doubtful, surer
from dubl.settings import Settings
from dubl.types import MatchSet, ReferenceDraft, Registration, Sampling, Verdict, VideoSource
from serve_app.calls import answer
from serve_app.progress import OnStage, followed


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
        self._query_sampling = query
        self._closer_sampling = closer
        self._reference_sampling = reference
        self._model_id = model_id

    async def check(
        self,
        source: VideoSource,
        *,
        libraries: Sequence[str],
        exclude_ids: Sequence[str],
        registered_before: str,
        on_stage: OnStage,
    ) -> Verdict:
        """Looks once, and closer where that leaves doubt."""
        look = partial(
            self._look,
            source,
            libraries=libraries,
            exclude_ids=exclude_ids,
            registered_before=registered_before,
            on_stage=on_stage,
        )
        verdict = await look(self._query_sampling)
        if not is_doubtful(verdict, self._policy):
            return verdict
        return surer(verdict, await look(self._closer_sampling))

    async def _look(
        self,
        source: VideoSource,
        sampling: Sampling,
        *,
        libraries: Sequence[str],
        exclude_ids: Sequence[str],
        registered_before: str,
        on_stage: OnStage,
    ) -> Verdict:
        clip = self._steps.decoder.decode.remote(source, sampling)
        features = self._steps.embedder.embed.remote(clip)
        candidates = self._steps.retriever.retrieve.remote(
            features, list(libraries), list(exclude_ids), registered_before
        )
        matching = self._steps.reranker.rerank.remote(features, candidates)
        stages = {"decode": clip, "embed": features, "retrieve": candidates, "rerank": matching}
        async with followed(stages, on_stage):
            matches: MatchSet = await answer(matching)
        return decide(matches, self._policy, model_id=self._model_id)

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
            return await answer(writing)
