"""The whole graph on one screen.

    decode ──> embed ──> retrieve ──> rerank ──> decide        (a check)
                  │                      ↑
                  ├──────────────────────┘
                  └────> register                              (a registration)

Responses are passed on without being awaited, so frames and features go from step to step and never
through the ingress; only the last one is awaited. Only the flow knows the order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from dubl.errors import DublError, Overloaded
from dubl.matching.decision import decide
from dubl.settings import Settings
from dubl.types import MatchSet, ReferenceDraft, Registration, Sampling, Verdict, VideoSource

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Handles of the deployments."""

    decoder: DeploymentHandle
    embedder: DeploymentHandle
    retriever: DeploymentHandle
    reranker: DeploymentHandle
    librarian: DeploymentHandle
    ledger: DeploymentHandle


class Flow:
    """Runs checks and registrations over the steps."""

    def __init__(
        self,
        steps: Steps,
        settings: Settings,
        *,
        query: Sampling,
        reference: Sampling,
        model_id: str,
    ) -> None:
        self._steps = steps
        self._policy = settings.policy
        self._query_sampling = query
        self._reference_sampling = reference
        self._model_id = model_id

    async def check(
        self,
        source: VideoSource,
        *,
        libraries: Sequence[str],
        exclude_ids: Sequence[str],
        registered_before: str,
    ) -> Verdict:
        clip = self._steps.decoder.decode.remote(source, self._query_sampling)
        features = self._steps.embedder.embed.remote(clip)
        candidates = self._steps.retriever.retrieve.remote(
            features, list(libraries), list(exclude_ids), registered_before
        )
        matches: MatchSet = await answer(self._steps.reranker.rerank.remote(features, candidates))
        return decide(matches, self._policy, model_id=self._model_id)

    async def register(self, source: VideoSource, draft: ReferenceDraft) -> Registration:
        known: Registration | None = await answer(
            self._steps.librarian.find.remote(draft, source.sha256)
        )
        if known is not None:
            return known
        clip = self._steps.decoder.decode.remote(source, self._reference_sampling)
        features = self._steps.embedder.embed.remote(clip)
        return await answer(self._steps.librarian.register.remote(draft, source, features))


async def answer(response: Awaitable[Result]) -> Result:
    """Awaits a step. Raises the domain error that was raised in it, however many hops down."""
    try:
        return await response
    except RayTaskError as exc:
        if isinstance(exc.cause, DublError):
            raise exc.cause from None
        raise
    except BackPressureError as exc:
        raise Overloaded("all replicas of a step are busy") from exc
    except (RayActorError, DeploymentUnavailableError) as exc:
        raise Overloaded("a replica was lost while it worked; it is being replaced") from exc
