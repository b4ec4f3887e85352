"""From domain objects to the answers that the client gives."""

from __future__ import annotations

from dataclasses import asdict

from dubl.client import models
from dubl.types import Check, Reference, Review, ReviewItem, Segment


def check_answer(check: Check, *, least: float) -> models.Check:
    """With the matches from the probability `least` on, as the service shows them."""
    verdict = check.verdict
    matches = [
        {
            **asdict(match),
            "segments": [_segment(segment) for segment in match.segments],
        }
        for match in verdict.matches
        if match.probability >= least and not match.rejected
    ]
    about = {name: value for name, value in asdict(check).items() if name != "verdict"}
    return models.Check.model_validate({**asdict(verdict), **about, "matches": matches})


def reference_answer(reference: Reference) -> models.Reference:
    return models.Reference.model_validate(asdict(reference))


def review_answer(review: Review) -> models.Review:
    return models.Review.model_validate(asdict(review))


def review_item_answer(item: ReviewItem) -> models.ReviewItem:
    return models.ReviewItem.model_validate(asdict(item))


def _segment(segment: Segment) -> dict[str, object]:
    return {**asdict(segment), "speed": segment.speed}
