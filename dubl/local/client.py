"""Dubl in this process, on a data folder that no service holds: the questions of
dubl.client.client.Client, with the same answers.

with LocalDubl(load_settings("configs/local.yaml")) as dubl:
    print(dubl.check("upload.mp4").outcome)
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Self

from dubl.assembly import make_ledger
from dubl.client import models
from dubl.client.admin_operations import OnProgress
from dubl.client.guard import Calibration
from dubl.ledger.statements import utc_now
from dubl.library_calibration import calibrate_library
from dubl.local.answers import (
    check_answer,
    frame_answer,
    reference_answer,
    review_answer,
    review_item_answer,
)
from dubl.local.steps import LocalSteps
from dubl.rights.parsing import parse_context, parse_rights
from dubl.rights.terms import Rights
from dubl.settings import Settings
from dubl.types import MAIN_LIBRARY, Check, Decision, Outcome, ReferenceDraft, ReviewState


def nothing(_stage: str, _share: float) -> None:
    """For who does not care how far it is."""


class LocalDubl:
    """Holds the ledger until it is closed. Methods raise DublError as the steps do."""

    def __init__(self, settings: Settings) -> None:
        """Raises StoreHeld while a service, or another command, holds the data folder."""
        self._settings = settings
        self._ledger = make_ledger(settings)
        self._steps = LocalSteps(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._steps.close()
        self._ledger.close()

    def check(
        self,
        file: Path | str = "",
        *,
        link: str = "",
        libraries: Sequence[str] = (),
        channel: str = "",
        territory: str = "",
        time: str = "",
        on_progress: OnProgress | None = None,
    ) -> models.Check:
        """The verdict on a file or link, for where and when it is to be shown; it is kept in the
        ledger, with what a person needs to look at it."""
        started, check_id, created_at = perf_counter(), str(uuid.uuid4()), utc_now()
        context = parse_context(channel=channel, territory=territory, time=time or created_at)
        with self._steps.obtained(file, link) as source:
            verdict = self._steps.check(
                source,
                check_id=check_id,
                libraries=libraries,
                standing=self._ledger.standing(source.sha256),
                context=context,
                tell=on_progress or nothing,
            )
        total_ms = (perf_counter() - started) * 1000
        check = Check(
            id=check_id,
            query_name=source.name,
            query_sha256=source.sha256,
            libraries=tuple(libraries),
            created_at=created_at,
            verdict=replace(verdict, timings_ms={**verdict.timings_ms, "total": total_ms}),
        )
        self._ledger.record_check(check)
        return check_answer(check, least=self._settings.policy.review_probability)

    def register(
        self,
        file: Path | str = "",
        *,
        link: str = "",
        id: str = "",  # noqa: A002
        library: str = "",
        title: str = "",
        owner: str = "",
        metadata: Mapping[str, object] | None = None,
        rights: models.Rights | None = None,
    ) -> models.Reference:
        """Registers a file or link. What was there already is given as it is."""
        draft = ReferenceDraft(
            id=id or str(uuid.uuid4()),
            library=library or MAIN_LIBRARY,
            title=title,
            owner=owner,
            metadata=dict(metadata or {}),
            rights=_parsed(rights or models.Rights()),
        )
        with self._steps.obtained(file, link) as source:
            return reference_answer(self._steps.register(source, draft))

    def get_reference(self, reference_id: str) -> models.Reference:
        return reference_answer(self._steps.store.get(reference_id))

    def list_references(
        self,
        *,
        library: str = "",
        owner: str = "",
        text: str = "",
        limit: int = 50,
        cursor: str = "",
    ) -> models.Page[models.Reference]:
        page = self._steps.store.list(
            library=library, owner=owner, q=text, limit=limit, cursor=cursor
        )
        items = tuple(reference_answer(one) for one in page.items)
        return models.Page(items=items, next_cursor=page.next_cursor or None)

    def update_reference(
        self,
        reference_id: str,
        *,
        title: str | None = None,
        owner: str | None = None,
        metadata: Mapping[str, object] | None = None,
        rights: models.Rights | None = None,
    ) -> models.Reference:
        """Changes what is given; rights as a whole, and later checks see them at once."""
        changed = self._steps.store.update(
            reference_id,
            title=title,
            owner=owner,
            metadata=metadata,
            rights=None if rights is None else _parsed(rights),
        )
        return reference_answer(changed)

    def delete_reference(self, reference_id: str) -> None:
        self._steps.store.delete(reference_id)
        self._steps.kept.remove_reference(reference_id)

    def search_frame(
        self, file: Path | str, *, time_s: float = 0.0, library: str = "", limit: int = 10
    ) -> tuple[models.FrameFound, ...]:
        """References that show a picture: an image, or the frame of a video at `time_s`."""
        libraries = [library] if library else []
        with self._steps.obtained(file, "") as source:
            found = self._steps.find_frame(source, time_s, libraries=libraries, limit=limit)
        return tuple(frame_answer(one) for one in found)

    def list_libraries(self) -> tuple[models.Library, ...]:
        counts = sorted(self._steps.store.libraries().items())
        return tuple(models.Library(name=name, references=count) for name, count in counts)

    def list_checks(
        self, *, outcome: str = "", reference_id: str = "", limit: int = 50, cursor: str = ""
    ) -> models.Page[models.Check]:
        page = self._ledger.list_checks(
            outcome=Outcome(outcome) if outcome else None,
            reference_id=reference_id,
            limit=limit,
            cursor=cursor,
        )
        least = self._settings.policy.review_probability
        items = tuple(check_answer(one, least=least) for one in page.items)
        return models.Page(items=items, next_cursor=page.next_cursor or None)

    def review_queue(
        self, *, state: str = "open", limit: int = 50, cursor: str = ""
    ) -> models.Page[models.ReviewItem]:
        page = self._ledger.reviews.queue(
            state=ReviewState(state),
            least_probability=self._settings.policy.review_probability,
            by_policy=True,
            limit=limit,
            cursor=cursor,
        )
        items = tuple(review_item_answer(one) for one in page.items)
        return models.Page(items=items, next_cursor=page.next_cursor or None)

    def list_reviews(
        self, *, check_id: str = "", reference_id: str = "", limit: int = 50, cursor: str = ""
    ) -> models.Page[models.Review]:
        page = self._ledger.reviews.list(
            check_id=check_id, reference_id=reference_id, limit=limit, cursor=cursor
        )
        items = tuple(review_answer(one) for one in page.items)
        return models.Page(items=items, next_cursor=page.next_cursor or None)

    def review(
        self, check_id: str, reference_id: str, *, decision: str, reviewer: str = "", note: str = ""
    ) -> models.Review:
        said = self._ledger.reviews.record(
            check_id, reference_id, decision=Decision(decision), reviewer=reviewer, note=note
        )
        return review_answer(said)

    def calibrate_library(
        self, library: str, *, least_decisions: int = 30, adopt: bool = True
    ) -> Calibration:
        """Raises InvalidRequest for too few decisions."""
        report = calibrate_library(
            self._ledger,
            library,
            self._settings.policy,
            least_decisions=least_decisions,
            adopt=adopt,
        )
        facts = {"library": library, "adopted": adopt, **asdict(report)}
        return Calibration.model_validate(facts)


def _parsed(rights: models.Rights) -> Rights:
    """Raises InvalidRights."""
    return parse_rights(rights.model_dump(mode="json"))
