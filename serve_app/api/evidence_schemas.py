"""Bodies of evidence, and the conversion to them."""

from __future__ import annotations

from urllib.parse import quote

import numpy as np
from pydantic import BaseModel

from dubl.settings import PolicySettings
from dubl.types import (
    Box,
    Check,
    Explanation,
    FramePair,
    Hint,
    KeptVideo,
    Match,
    Outcome,
    TimedMatrix,
    Verdict,
)
from serve_app.api.schemas import SegmentBody


class VideoBody(BaseModel):
    """One side of a match. `picture` takes `?at=SECONDS`; both addresses are null where nothing is
    kept. `width` and `height` are 0 where they are not known."""

    id: str
    name: str
    duration_s: float
    width: int
    height: int
    video: str | None
    media_type: str | None
    picture: str | None
    picture_times_s: list[float]

    @classmethod
    def of(cls, kept: KeptVideo, *, at: str) -> VideoBody:
        return cls(
            id=kept.id,
            name=kept.name,
            duration_s=round(kept.duration_s, 3),
            width=kept.width,
            height=kept.height,
            video=f"{at}/video" if kept.video_path else None,
            media_type=kept.media_type if kept.video_path else None,
            picture=f"{at}/picture",
            picture_times_s=[round(time_s, 3) for time_s in kept.picture_times_s],
        )

    @classmethod
    def without_pictures(cls, identifier: str, duration_s: float) -> VideoBody:
        return cls(
            id=identifier,
            name="",
            duration_s=round(duration_s, 3),
            width=0,
            height=0,
            video=None,
            media_type=None,
            picture=None,
            picture_times_s=[],
        )


class BoxBody(BaseModel):
    """A part of a picture, in shares of its width and height."""

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def of(cls, box: Box) -> BoxBody:
        return cls(
            left=round(box.left, 3),
            top=round(box.top, 3),
            width=round(box.width, 3),
            height=round(box.height, 3),
        )


class HintBody(BaseModel):
    """An edit that was seen: mirrored, rotated (`value` degrees clockwise), inset (the reference
    fills `box` of the query, `value` is its share), cropped (the query shows `box` of the
    reference), gray, speed (`value` reference seconds a query second), reversed."""

    kind: str
    value: float
    box: BoxBody | None

    @classmethod
    def of(cls, hint: Hint) -> HintBody:
        box = None if hint.box is None else BoxBody.of(hint.box)
        return cls(kind=hint.kind, value=round(hint.value, 3), box=box)


class PairBody(BaseModel):
    """Two frames that belong together; `segment` counts from 0 in `segments`."""

    segment: int
    query_s: float
    reference_s: float
    similarity: float
    query_picture: str | None
    reference_picture: str | None

    @classmethod
    def of(cls, pair: FramePair, query: VideoBody, reference: VideoBody) -> PairBody:
        return cls(
            segment=pair.segment,
            query_s=round(pair.query_s, 3),
            reference_s=round(pair.reference_s, 3),
            similarity=round(pair.similarity, 4),
            query_picture=_at(query.picture, pair.query_s),
            reference_picture=_at(reference.picture, pair.reference_s),
        )


class PolicyBody(BaseModel):
    """The thresholds in force; `checked_under` is the policy's version when the check was made."""

    version: str
    duplicate_probability: float
    review_probability: float
    checked_under: str

    @classmethod
    def of(cls, policy: PolicySettings, verdict: Verdict) -> PolicyBody:
        return cls(
            version=policy.version,
            duplicate_probability=policy.duplicate_probability,
            review_probability=policy.review_probability,
            checked_under=verdict.policy_version,
        )


class EvidenceBody(BaseModel):
    """Everything about one match. Matrices are under `matrix`, `?stage=frames|network`."""

    check_id: str
    reference_id: str
    library: str
    similarity: float
    probability: float
    outcome: str
    rejected: bool
    policy: PolicyBody
    model_id: str
    segments: list[SegmentBody]
    pairs: list[PairBody]
    hints: list[HintBody]
    query: VideoBody
    reference: VideoBody
    matrix: str
    matrix_picture: str

    @classmethod
    def of(
        cls,
        check: Check,
        match: Match,
        explanation: Explanation,
        *,
        policy: PolicyBody,
        outcome: Outcome,
        query: VideoBody,
        reference: VideoBody,
    ) -> EvidenceBody:
        ids = (quote(check.id, safe=""), quote(match.reference_id, safe=""))
        here = f"/v1/checks/{ids[0]}/matches/{ids[1]}/evidence"
        return cls(
            check_id=check.id,
            reference_id=match.reference_id,
            library=match.library,
            similarity=round(match.similarity, 4),
            probability=round(match.probability, 4),
            outcome=outcome,
            rejected=match.rejected,
            policy=policy,
            model_id=check.verdict.model_id,
            segments=[SegmentBody.of(segment) for segment in match.segments],
            pairs=[PairBody.of(pair, query, reference) for pair in explanation.pairs],
            hints=[HintBody.of(hint) for hint in explanation.hints],
            query=query,
            reference=reference,
            matrix=f"{here}/matrix",
            matrix_picture=f"{here}/matrix.png",
        )


class MatrixBody(BaseModel):
    """Similarity [T][U] in [0,1] with the times of its rows and columns, in seconds."""

    query_times_s: list[float]
    reference_times_s: list[float]
    query_duration_s: float
    reference_duration_s: float
    similarity: list[list[float]]

    @classmethod
    def of(cls, matrix: TimedMatrix) -> MatrixBody:
        return cls(
            query_times_s=np.round(matrix.query_times_s, 3).tolist(),
            reference_times_s=np.round(matrix.reference_times_s, 3).tolist(),
            query_duration_s=round(matrix.query_duration_s, 3),
            reference_duration_s=round(matrix.reference_duration_s, 3),
            similarity=np.round(matrix.similarity.astype(np.float64), 3).tolist(),
        )


def _at(picture: str | None, second: float) -> str | None:
    return None if picture is None else f"{picture}?at={max(second, 0.0):.3f}"
