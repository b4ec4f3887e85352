"""From domain objects to the answers that the client gives."""

from __future__ import annotations

from dataclasses import asdict

from dubl.client import models
from dubl.rights.parsing import plain_rights
from dubl.rights.terms import Action
from dubl.types import Check, FrameFound, Match, Outcome, Reference, Review, ReviewItem, Segment


def check_answer(check: Check, *, least: float) -> models.Check:
    """With the matches from the probability `least` on, as the service shows them."""
    verdict = check.verdict
    matches = [
        {
            **asdict(match),
            "rights": {
                **asdict(match.rights),
                "excluded_s": match.excluded_s,
                "common_s": match.common_s,
            },
            "segments": [_segment(segment) for segment in match.segments],
        }
        for match in verdict.matches
        if not match.rejected and _is_shown(match, least)
    ]
    about = {name: value for name, value in asdict(check).items() if name != "verdict"}
    context = {name: value or None for name, value in asdict(verdict.context).items()}
    action = Action.ALLOW if verdict.outcome is Outcome.UNIQUE else verdict.action
    answer = {**asdict(verdict), "matches": matches, "action": action, "context": context}
    return models.Check.model_validate({**answer, **about})


def reference_answer(reference: Reference) -> models.Reference:
    rights = plain_rights(reference.rights)
    return models.Reference.model_validate({**asdict(reference), "rights": rights})


def frame_answer(found: FrameFound) -> models.FrameFound:
    return models.FrameFound.model_validate(asdict(found))


def review_answer(review: Review) -> models.Review:
    return models.Review.model_validate(asdict(review))


def review_item_answer(item: ReviewItem) -> models.ReviewItem:
    return models.ReviewItem.model_validate(asdict(item))


def _is_shown(match: Match, least: float) -> bool:
    """By the thresholds of its library, where the decision said what it calls for."""
    if match.outcome is not None:
        return match.outcome is not Outcome.UNIQUE
    return match.probability >= least


def _segment(segment: Segment) -> dict[str, object]:
    return {**asdict(segment), "speed": segment.speed}
