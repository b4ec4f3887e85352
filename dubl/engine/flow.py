"""The whole graph on one screen.

    decode ──> embed ──> retrieve ──> rerank ──> verify ──> decide        (a check)
                  │                      ↑                     │
                  ├──────────────────────┘                     └────> keep   (what people look at)
                  └────> register ──> keep                                (a registration)

There is a lane (embed, retrieve, rerank) for each feature space: a check goes along one of them
from beginning to end, a registration's features come from all. Of matches that leave doubt the
decoder compares the pixels (verify); a check that still does is looked at once more, with more
views of the query (thorough).
Responses are passed on without being awaited, so frames and features go from step to step and never
through the ingress; only the last one is awaited. Only the flow knows the order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dubl.engine.handles import Handle, Response
from dubl.engine.progress import OnStage, followed
from dubl.errors import (
    DublError,
    Overloaded,
    ServiceInterrupted,
    StateConflict,
    StoreUnavailable,
)
from dubl.index.uploads import Upload
from dubl.matching.decision import decide, is_doubtful, keeps_evidence, surer, unsettled
from dubl.rights.terms import CheckContext
from dubl.settings import Settings
from dubl.types import (
    MatchSet,
    ReferenceDraft,
    Registration,
    Sampling,
    Space,
    Standing,
    Verdict,
    VideoSource,
)

logger = logging.getLogger(__name__)

VERIFY_TRIES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A feature space, and the handles of what works in it."""

    space: Space
    embedder: Handle
    retriever: Handle
    reranker: Handle


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Handles of the deployments. The first lane is that of model.weights, the second, where there
    is one, that of the candidate."""

    decoder: Handle
    lanes: tuple[Lane, ...]
    librarian: Handle
    ledger: Handle

    def lane(self, space_id: str) -> Lane:
        """That of the space; of model.weights for an empty id. Raises ServiceInterrupted."""
        for lane in self.lanes:
            if space_id in ("", lane.space.id):
                return lane
        raise ServiceInterrupted(f"this process does not know the feature space '{space_id}'")

    @property
    def by_name(self) -> Mapping[str, Handle]:
        """By names of the deployments, in lower case."""
        first, *others = (
            {"embedder": lane.embedder, "retriever": lane.retriever, "reranker": lane.reranker}
            for lane in self.lanes
        )
        candidate = {f"candidate{name}": one for lane in others for name, one in lane.items()}
        shared = {"librarian": self.librarian, "ledger": self.ledger}
        return {"decoder": self.decoder, **first, **shared, **candidate}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a check asks of a video. `standing` is needed once there are matches."""

    libraries: Sequence[str]
    exclude_ids: Sequence[str]
    registered_before: str
    standing: asyncio.Future[Standing]
    context: CheckContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A verdict, and the responses that hold what it was made of."""

    verdict: Verdict
    clip: Response
    features: Response


class Flow:
    """Runs checks and registrations over the steps."""

    def __init__(self, steps: Steps, settings: Settings) -> None:
        self._steps = steps
        self._policy = settings.policy
        self._evidence = settings.evidence
        self._keeps_uploads = settings.lookback.keep_uploads

    async def check(
        self,
        source: VideoSource,
        question: Question,
        *,
        space_id: str,
        check_id: str,
        upload: Upload,
        on_stage: OnStage,
    ) -> Verdict:
        """The verdict of a space; what a person will look at is kept."""
        lane = self._steps.lane(space_id)
        best = await self.answer(lane, source, question, on_stage)
        if keeps_evidence(best.verdict, self._evidence):
            keep = self._steps.decoder.keep_query
            await _kept(keep.remote(check_id, source, best.clip, best.features))
        if self._keeps_uploads:
            await _kept(self._steps.librarian.keep_upload.remote(upload, best.features))
        return best.verdict

    @property
    def has_shadows(self) -> bool:
        """Whether there is a space that does not answer."""
        return len(self._steps.lanes) > 1

    async def shadow(
        self, source: VideoSource, question: Question, *, space_id: str
    ) -> tuple[Space, Verdict]:
        """What the space says that does not answer."""
        answering = self._steps.lane(space_id)
        (lane,) = (one for one in self._steps.lanes if one is not answering)
        best = await self.answer(lane, source, question, lambda _: None)
        return lane.space, best.verdict

    async def check_kept(
        self,
        earlier_id: str,
        *,
        space_id: str,
        check_id: str,
        libraries: Sequence[str],
        standing: Standing,
        context: CheckContext,
    ) -> Verdict:
        """An upload of which the features are kept, in their space. What is kept to look at of its
        earlier check is kept of this one too, which has an id unless nobody will see it."""
        lane = self._steps.lane(space_id)
        features = self._steps.librarian.upload_features.remote(lane.space.id, earlier_id)
        candidates = lane.retriever.retrieve.remote(features, list(libraries), [], "")
        matches = await lane.reranker.rerank.remote(features, candidates)
        if check_id:
            await _kept(self._steps.decoder.keep_again.remote(earlier_id, check_id))
        return self._decided(lane, matches, standing, context)

    async def answer(
        self, lane: Lane, source: VideoSource, question: Question, on_stage: OnStage
    ) -> Look:
        """Looks once, and closer where that leaves doubt: the surer verdict, with what the better
        look was made of. Nothing is kept."""
        first = await self._look(lane, source, lane.space.query, question, on_stage)
        # Who looks closely from the start sees no more by looking again.
        if not is_doubtful(first.verdict, self._policy) or lane.space.closer == lane.space.query:
            return first
        closer = await self._look(lane, source, lane.space.closer, question, on_stage)
        best = max(first, closer, key=lambda one: one.verdict.probability)
        return replace(best, verdict=surer(first.verdict, closer.verdict))

    async def _look(
        self,
        lane: Lane,
        source: VideoSource,
        sampling: Sampling,
        question: Question,
        on_stage: OnStage,
    ) -> Look:
        clip = self._steps.decoder.decode.remote(source, sampling)
        features = lane.embedder.embed.remote(clip)
        candidates = lane.retriever.retrieve.remote(
            features,
            list(question.libraries),
            list(question.exclude_ids),
            question.registered_before,
        )
        matching = lane.reranker.rerank.remote(features, candidates)
        stages = {"decode": clip, "embed": features, "retrieve": candidates, "rerank": matching}
        async with followed(stages, on_stage):
            matches: MatchSet = await matching
        standing, context = await question.standing, question.context
        if doubtful := unsettled(matches, self._policy, standing=standing, context=context):
            matches = await self._verified(lane, source, matches, doubtful, on_stage)
        verdict = self._decided(lane, matches, standing, context)
        return Look(verdict=verdict, clip=clip, features=features)

    async def _verified(
        self,
        lane: Lane,
        source: VideoSource,
        matches: MatchSet,
        doubtful: Sequence[str],
        on_stage: OnStage,
    ) -> MatchSet:
        """A verdict by the features alone is better than none: when the look fails twice, too.
        Raises StoreUnavailable, for which a check waits."""
        references = self._steps.librarian.existing.remote(list(doubtful))
        verify = self._steps.decoder.verify
        for _ in range(VERIFY_TRIES):
            looking = verify.remote(source, matches, doubtful, references, lane.space.id)
            try:
                async with followed({"verify": looking}, on_stage):
                    verified: MatchSet = await looking
                return verified
            except StoreUnavailable:
                raise
            except (Overloaded, ServiceInterrupted) as exc:
                logger.warning("the look at the pixels was lost: %s: %s", exc.code, exc.detail)
            except DublError as exc:
                logger.warning("pixels are not looked at: %s: %s", exc.code, exc.detail)
                break
        return matches

    def _decided(
        self, lane: Lane, matches: MatchSet, standing: Standing, context: CheckContext
    ) -> Verdict:
        return decide(
            matches,
            self._policy,
            model_id=lane.space.model_id,
            standing=standing,
            context=context,
        )

    async def register(
        self, source: VideoSource, draft: ReferenceDraft, *, again: bool, on_stage: OnStage
    ) -> Registration:
        """In all spaces: one whose sampling is another's shares its frames. `again`: an attempt
        before this one may have got as far as the library, and kept nothing to look at. Raises
        StateConflict where the id is another library's."""
        found = self._steps.librarian.find.remote(draft, source.sha256)
        known: Registration | None = await found
        decode, keep = self._steps.decoder.decode, self._steps.decoder.keep_reference
        if known is not None:
            _require_own(known, draft)
            ours = (known.reference.id, known.reference.sha256) == (draft.id, source.sha256)
            if again and ours and self._evidence.keep != "none":
                clip = decode.remote(source, self._steps.lanes[0].space.reference)
                async with followed({"decode": clip}, on_stage):
                    await _kept(keep.remote(draft.id, source, clip))
            return known
        samplings = dict.fromkeys(lane.space.reference for lane in self._steps.lanes)
        clips = {sampling: decode.remote(source, sampling) for sampling in samplings}
        described = [
            lane.embedder.embed.remote(clips[lane.space.reference]) for lane in self._steps.lanes
        ]
        writing = self._steps.librarian.register.remote(draft, source, *described)
        clip = clips[self._steps.lanes[0].space.reference]
        stages = {"decode": clip, "embed": described[0], "register": writing}
        async with followed(stages, on_stage):
            registration: Registration = await writing
        _require_own(registration, draft)
        if registration.created and self._evidence.keep != "none":
            await _kept(keep.remote(registration.reference.id, source, clip))
        return registration


def _require_own(found: Registration, draft: ReferenceDraft) -> None:
    if found.reference.id == draft.id and found.reference.library != draft.library:
        raise StateConflict(
            f"'{draft.id}' is the id of a reference of another library: send another one, or none",
            context={"reference_id": draft.id},
        )


async def _kept(response: Response) -> None:
    """A verdict without pictures is better than none."""
    try:
        await response
    except DublError as exc:
        logger.warning("nothing is kept to look at: %s: %s", exc.code, exc.detail)
