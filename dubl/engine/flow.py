"""The whole graph on one screen.

    decode ──> embed ──> retrieve ──> rerank ──> verify ──> decide        (a check)
                  │                      ↑                     │
                  ├──────────────────────┘                     └────> keep   (evidence)
                  └────> register ──> keep                                (a registration)

Each feature space has a lane (embed, retrieve, rerank). A check uses one lane; a registration uses
all. For doubtful matches the decoder compares pixels (verify). If a check is still doubtful, a
second pass uses all views of the query. Of a fingerprint the decoder reads the features; neither
step is possible, and the verdict says that it needs the video.

A long video is decoded and embedded in parts (Decoder.describe), so that nobody holds all frames.

Responses are passed on without being awaited, and only the last one is awaited. So frames and
features go from step to step and never through the ingress. Only the flow knows the order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from dubl.assembly import registered_sampling
from dubl.engine.handles import Handle, OnStage, Response, followed
from dubl.errors import (
    DublError,
    Overloaded,
    ServiceInterrupted,
    StateConflict,
    StoreUnavailable,
    VideoInParts,
)
from dubl.matching.decision import (
    decide,
    doubtful_references,
    more_probable,
    needs_second_pass,
    stores_evidence,
)
from dubl.rights.terms import CheckContext
from dubl.settings import Settings
from dubl.types import (
    MatchSet,
    Note,
    PriorDecisions,
    Reference,
    ReferenceDraft,
    Registration,
    Sampling,
    Space,
    Verdict,
    VideoSource,
)

if TYPE_CHECKING:
    from dubl.index.uploads import Upload

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

VERIFY_TRIES = 2  # chosen
PART_ROWS = 512  # 39 MB of 160 x 160 pixels; chosen, much more than a batch of the embedder


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A feature space, and the handles of its steps."""

    space: Space
    embedder: Handle
    retriever: Handle
    reranker: Handle


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Handles of the deployments. The first lane is that of model.weights; a second one, if any, is
    that of the candidate.
    """

    decoder: Handle
    lanes: tuple[Lane, ...]
    librarian: Handle
    ledger: Handle

    def lane(self, space_id: str) -> Lane:
        """The lane of a space; that of model.weights for an empty id. Raises ServiceInterrupted."""
        for lane in self.lanes:
            if space_id in ("", lane.space.id):
                return lane
        raise ServiceInterrupted(f"unknown feature space '{space_id}'")

    @property
    def by_name(self) -> Mapping[str, Handle]:
        """The handles by deployment name, in lower case."""
        first, *others = (
            {"embedder": lane.embedder, "retriever": lane.retriever, "reranker": lane.reranker}
            for lane in self.lanes
        )
        candidate = {f"candidate{name}": one for lane in others for name, one in lane.items()}
        shared = {"librarian": self.librarian, "ledger": self.ledger}
        return {"decoder": self.decoder, **first, **shared, **candidate}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The question of a check. `prior` is awaited only when there are matches. `reference_id`: as
    in CheckOrder."""

    libraries: Sequence[str]
    exclude_ids: Sequence[str]
    registered_before: str
    prior: asyncio.Future[PriorDecisions]
    context: CheckContext
    reference_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """The matches and the verdict of one pass, and the responses with its clip (of a long video its
    thumbnails; None of a fingerprint) and its features."""

    matches: MatchSet
    verdict: Verdict
    clip: Response | None
    features: Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """Responses of a video that is decoded and embedded: its clip (of a long video its thumbnails;
    None of a fingerprint), its features in each space asked for, and by name the stages that make
    them."""

    clip: Response | None
    features: Sequence[Response]
    stages: Mapping[str, Response]


class Flow:
    """Runs checks and registrations over the steps.

    `at_once`: so many of them at most; others wait for their turn. 0: without a limit. Searches for
    a frame are short, and somebody waits for them: they take no turn.
    """

    def __init__(self, steps: Steps, settings: Settings, *, at_once: int = 0) -> None:
        self._place: AbstractAsyncContextManager[None] = (
            asyncio.Semaphore(at_once) if at_once else nullcontext()
        )
        self._steps = steps
        self._settings = settings
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
        """The verdict in one space; stores evidence."""
        lane = self._steps.lane(space_id)
        best = await self.answer(lane, source, question, on_stage)
        asked_for = bool(question.reference_id) and self._evidence.keep != "none"
        if asked_for or stores_evidence(best.verdict, self._evidence):
            keep = self._steps.decoder.keep_query
            await _kept(keep.remote(check_id, source, best.clip, best.features))
        if self._keeps_uploads:
            await _kept(self._steps.librarian.keep_upload.remote(upload, best.features))
        return best.verdict

    async def shadow(
        self, source: VideoSource, question: Question, *, space_id: str
    ) -> tuple[Space, Verdict]:
        """The verdict of the space that does not answer."""
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
        prior: PriorDecisions,
        context: CheckContext,
    ) -> Verdict:
        """The verdict on an upload with stored features, in their space.

        With `check_id`, the evidence of the earlier check is stored for this one too.
        """
        lane = self._steps.lane(space_id)
        async with self._place:
            features = self._steps.librarian.upload_features.remote(lane.space.id, earlier_id)
            candidates = lane.retriever.retrieve.remote(features, list(libraries), [], "")
            matches = await lane.reranker.rerank.remote(features, candidates)
        if check_id:
            await _kept(self._steps.decoder.keep_again.remote(earlier_id, check_id))
        return self._decided(lane, matches, prior, context)

    async def answer(
        self, lane: Lane, source: VideoSource, question: Question, on_stage: OnStage
    ) -> Pass:
        """The verdict after one pass, or after two if the first leaves doubt.

        Each reference counts as in the pass where it is more probable. Nothing is stored.
        """
        async with self._place:
            return await self._answer(lane, source, question, on_stage)

    async def _answer(
        self, lane: Lane, source: VideoSource, question: Question, on_stage: OnStage
    ) -> Pass:
        first = await self._pass(lane, source, lane.space.query, question, on_stage)
        if Note.NEEDS_VIDEO in first.verdict.notes:
            return first
        # If the first pass already used all views, a second would repeat it.
        if (
            not needs_second_pass(first.verdict, self._policy)
            or lane.space.second_pass == lane.space.query
        ):
            return first
        if source.fingerprint:
            return replace(first, verdict=_needing_video(first.verdict))
        second = await self._pass(lane, source, lane.space.second_pass, question, on_stage)
        best = max(first, second, key=lambda one: one.verdict.probability)
        matches = more_probable(first.matches, second.matches)
        prior, context = await question.prior, question.context
        return replace(best, matches=matches, verdict=self._decided(lane, matches, prior, context))

    async def _pass(
        self,
        lane: Lane,
        source: VideoSource,
        sampling: Sampling,
        question: Question,
        on_stage: OnStage,
    ) -> Pass:
        return await self._short_or_long(
            source,
            [(lane, sampling)],
            lambda made: self._judged(lane, source, made, question, on_stage),
        )

    async def _short_or_long(
        self,
        source: VideoSource,
        wanted: Sequence[tuple[Lane, Sampling]],
        use: Callable[[Embedding], Awaitable[Result]],
    ) -> Result:
        """What `use` makes of the features of a video; `wanted`: lanes, each with a sampling.

        Videos that share a sampling share its frames.
        """
        if source.fingerprint:
            return await use(self._read(source, wanted))
        shared: dict[Sampling, list[Handle]] = {}
        for lane, sampling in wanted:
            shared.setdefault(replace(sampling, part_rows=PART_ROWS), []).append(lane.embedder)
        try:
            return await use(self._in_one(source, shared))
        except VideoInParts:
            return await use(self._in_parts(source, shared))

    def _read(self, source: VideoSource, wanted: Sequence[tuple[Lane, Sampling]]) -> Embedding:
        read = self._steps.decoder.read_fingerprint
        features = [read.remote(source, sampling, lane.space.id) for lane, sampling in wanted]
        return Embedding(clip=None, features=features, stages={"decode": features[0]})

    def _in_one(self, source: VideoSource, shared: Mapping[Sampling, list[Handle]]) -> Embedding:
        clips = {one: self._steps.decoder.decode.remote(source, one) for one in shared}
        features = [
            one.embed.remote(clips[sampling])
            for sampling, embedders in shared.items()
            for one in embedders
        ]
        clip = next(iter(clips.values()))
        return Embedding(
            clip=clip, features=features, stages={"decode": clip, "embed": features[0]}
        )

    def _in_parts(self, source: VideoSource, shared: Mapping[Sampling, list[Handle]]) -> Embedding:
        decoder = self._steps.decoder
        described = [
            (decoder.describe.remote(source, sampling, *embedders), len(embedders))
            for sampling, embedders in shared.items()
        ]
        first = described[0][0]
        return Embedding(
            clip=decoder.thumbnails_of.remote(first),
            features=[
                decoder.features_of.remote(one, place)
                for one, count in described
                for place in range(count)
            ],
            stages={"decode": first},
        )

    async def _judged(
        self,
        lane: Lane,
        source: VideoSource,
        made: Embedding,
        question: Question,
        on_stage: OnStage,
    ) -> Pass:
        (features,) = made.features
        candidates = lane.retriever.retrieve.remote(
            features,
            list(question.libraries),
            list(question.exclude_ids),
            question.registered_before,
            question.reference_id,
        )
        matching = lane.reranker.rerank.remote(features, candidates)
        stages = {**made.stages, "retrieve": candidates, "rerank": matching}
        async with followed(stages, on_stage):
            matches: MatchSet = await matching
        prior, context = await question.prior, question.context
        doubtful = doubtful_references(matches, self._policy, prior=prior, context=context)
        if doubtful and not source.fingerprint:
            matches = await self._verified(lane, source, matches, doubtful, on_stage)
        verdict = self._decided(lane, matches, prior, context)
        if doubtful and source.fingerprint:
            verdict = _needing_video(verdict)
        return Pass(matches=matches, verdict=verdict, clip=made.clip, features=features)

    async def _verified(
        self,
        lane: Lane,
        source: VideoSource,
        matches: MatchSet,
        doubtful: Sequence[str],
        on_stage: OnStage,
    ) -> MatchSet:
        """The matches after pixel comparison; unchanged if that fails twice.

        Raises StoreUnavailable, for which a check waits.
        """
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
                logger.warning("a pixel comparison was lost: %s: %s", exc.code, exc.detail)
            except DublError as exc:
                logger.warning("pixels were not compared: %s: %s", exc.code, exc.detail)
                break
        return matches

    def _decided(
        self, lane: Lane, matches: MatchSet, prior: PriorDecisions, context: CheckContext
    ) -> Verdict:
        return decide(
            matches,
            self._policy,
            model_id=lane.space.model_id,
            prior=prior,
            context=context,
        )

    async def register(
        self, source: VideoSource, draft: ReferenceDraft, *, again: bool, on_stage: OnStage
    ) -> Registration:
        """Registers a video in all spaces. Spaces with the same sampling share its frames.

        `again`: an earlier attempt may have reached the library without storing evidence. Raises
        StateConflict if the id belongs to another library, or to other bytes.
        """
        async with self._place:
            return await self._register(source, draft, again=again, on_stage=on_stage)

    async def _register(
        self, source: VideoSource, draft: ReferenceDraft, *, again: bool, on_stage: OnStage
    ) -> Registration:
        found = self._steps.librarian.find.remote(draft, source.sha256)
        known: Registration | None = await found
        if known is not None:
            _require_own(known, draft, source)
            stores = self._evidence.keep != "none" and not source.fingerprint
            if again and known.reference.id == draft.id and stores:
                sampling = self._sampling(self._steps.lanes[0], draft)
                await _kept(decode_again(self._steps, known.reference, source, sampling, on_stage))
            return known
        return await self._short_or_long(
            source,
            [(lane, self._sampling(lane, draft)) for lane in self._steps.lanes],
            lambda made: self._written(draft, source, made, on_stage),
        )

    def _sampling(self, lane: Lane, draft: ReferenceDraft) -> Sampling:
        return registered_sampling(
            lane.space.reference, self._settings, library=draft.library, rights=draft.rights
        )

    async def _written(
        self, draft: ReferenceDraft, source: VideoSource, made: Embedding, on_stage: OnStage
    ) -> Registration:
        writing = self._steps.librarian.register.remote(draft, source, *made.features)
        async with followed({**made.stages, "register": writing}, on_stage):
            registration: Registration = await writing
        _require_own(registration, draft, source)
        if registration.created and made.clip is not None and self._evidence.keep != "none":
            await _kept(keep_reference(self._steps, registration.reference, source, made.clip))
        return registration


async def decode_again(
    steps: Steps,
    reference: Reference,
    source: VideoSource,
    sampling: Sampling,
    on_stage: OnStage = lambda _: None,
) -> None:
    """Stores the pictures of a reference that has been registered. Raises DublError."""
    sampling = replace(sampling, part_rows=PART_ROWS)
    described = steps.decoder.describe.remote(source, sampling)
    async with followed({"decode": described}, on_stage):
        clip = steps.decoder.thumbnails_of.remote(described)
        await keep_reference(steps, reference, source, clip)


async def keep_reference(
    steps: Steps, reference: Reference, source: VideoSource, clip: Response
) -> None:
    """Stores a reference's pictures, and none if it was deleted meanwhile. Raises DublError."""
    await steps.decoder.keep_reference.remote(reference.id, source, clip)
    await steps.librarian.drop_pictures_of_deleted.remote(reference.id, reference.created_at)


def _needing_video(verdict: Verdict) -> Verdict:
    return replace(verdict, notes=(*verdict.notes, Note.NEEDS_VIDEO))


def _require_own(found: Registration, draft: ReferenceDraft, source: VideoSource) -> None:
    known = found.reference
    if known.id != draft.id:
        return
    if (known.library, known.sha256) != (draft.library, source.sha256):
        other = "in another library" if known.library != draft.library else "of another video"
        raise StateConflict(
            f"'{draft.id}' is the id of a reference {other}. Send another id, or none.",
            context={"reference_id": draft.id},
        )


async def _kept(response: Awaitable[object]) -> None:
    """Awaits storing; logs errors, as a verdict without evidence is better than none."""
    try:
        await response
    except DublError as exc:
        logger.warning("evidence could not be stored: %s: %s", exc.code, exc.detail)
