"""Dubl in this process, on a data folder that no service holds: methods, parameters and answers of
dubl.client.client.Client.

with LocalClient("data") as dubl:
    print(dubl.check("upload.mp4").outcome)
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Self, TypeVar

from dubl.assembly import make_ledger
from dubl.client.operations import OnProgress
from dubl.contract.bodies import (
    Calibration,
    Check,
    FrameFound,
    Library,
    LibraryPolicy,
    Match,
    Page,
    Quarantine,
    Reference,
    Review,
    ReviewItem,
    ReviewQueue,
    Rights,
)
from dubl.errors import InvalidRequest
from dubl.ledger.statements import utc_now
from dubl.library_calibration import calibrate_library
from dubl.local.steps import LocalSteps
from dubl.matching.decision import policy_of
from dubl.rights import terms
from dubl.rights.parsing import parse_context, parse_rights
from dubl.settings import Settings, load_settings
from dubl.types import (
    MAIN_LIBRARY,
    MIN_DECISIONS,
    Decision,
    Outcome,
    QuarantineState,
    ReferenceDraft,
    ReviewState,
    Standing,
)
from dubl.types import Check as Checked

QUARANTINE_DECISIONS = {"release": QuarantineState.RELEASED, "keep": QuarantineState.KEPT}
Kind = TypeVar("Kind", bound=StrEnum)


def nothing(_stage: str, _share: float) -> None:
    """Default progress callback; does nothing."""


class LocalClient:
    """Holds the ledger until it is closed. Methods raise DublError. What only a service has (jobs,
    batches, webhooks, keys, feature spaces) is not here."""

    def __init__(self, data: Path | str = "data", *, settings: Settings | None = None) -> None:
        """A data folder with the defaults, or what `settings` say.

        Raises StoreHeld while a service, or another command, holds the data folder.
        """
        self._settings = settings or load_settings(overrides=[f"data_dir={data}"])
        self._ledger = make_ledger(self._settings)
        self._steps = LocalSteps(self._settings)

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
        id: str = "",  # noqa: A002
        libraries: Sequence[str] = (),
        channel: str = "",
        territory: str = "",
        time: str = "",
        callback_url: str = "",
        timeout_s: float = 600.0,  # noqa: ARG002
        on_progress: OnProgress | None = None,
    ) -> Check:
        """The verdict on a file or link, for where and when it is to be shown. It is kept in the
        ledger, with what a person needs to look at it. Takes as long as it takes.

        Raises InvalidRequest for a `callback_url`: only a service calls back.
        """
        if callback_url:
            raise InvalidRequest("`callback_url` needs a running service")
        started, check_id, created_at = perf_counter(), id or str(uuid.uuid4()), utc_now()
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
        check = Checked(
            id=check_id,
            query_name=source.name,
            query_sha256=source.sha256,
            libraries=tuple(libraries),
            created_at=created_at,
            verdict=replace(verdict, timings_ms={**verdict.timings_ms, "total": total_ms}),
        )
        self._ledger.record_check(check)
        return self._shown(check)

    def wait_for_check(self, check_id: str, *, timeout_s: float = 600.0) -> Check:  # noqa: ARG002
        """A check that was made before. Raises CheckNotFound."""
        return self._shown(self._ledger.get_check(check_id))

    def nearest(self, check_id: str, *, m: int = 5) -> tuple[Match, ...]:
        """The nearest references to a checked video, however far."""
        ranked = self._ledger.get_check(check_id).verdict.nearest()
        return tuple(map(Match.of, ranked[:m]))

    def register(
        self,
        file: Path | str = "",
        *,
        link: str = "",
        path: str = "",
        id: str = "",  # noqa: A002
        library: str = "",
        title: str = "",
        owner: str = "",
        metadata: Mapping[str, object] | None = None,
        rights: Rights | None = None,
        timeout_s: float = 600.0,  # noqa: ARG002
    ) -> Reference:
        """Registers a file, a link or a path of this machine. What was there already is given as
        it is. Takes as long as it takes."""
        draft = ReferenceDraft(
            id=id or str(uuid.uuid4()),
            library=library or MAIN_LIBRARY,
            title=title,
            owner=owner,
            metadata=dict(metadata or {}),
            rights=_parsed(rights or Rights()),
        )
        with self._steps.obtained(file or path, link) as source:
            return Reference.of(self._steps.register(source, draft))

    def get_reference(self, reference_id: str) -> Reference:
        return Reference.of(self._steps.store.get(reference_id))

    def list_references(
        self,
        *,
        library: str = "",
        owner: str = "",
        text: str = "",
        limit: int = 50,
        cursor: str = "",
    ) -> Page[Reference]:
        page = self._steps.store.list(
            library=library, owner=owner, q=text, limit=limit, cursor=cursor
        )
        return Page[Reference].of(page, Reference.of)

    def update_reference(
        self,
        reference_id: str,
        *,
        title: str | None = None,
        owner: str | None = None,
        metadata: Mapping[str, object] | None = None,
        rights: Rights | None = None,
    ) -> Reference:
        """Changes what is given; rights as a whole, and later checks see them at once."""
        changed = self._steps.store.update(
            reference_id,
            title=title,
            owner=owner,
            metadata=metadata,
            rights=None if rights is None else _parsed(rights),
        )
        return Reference.of(changed)

    def delete_reference(self, reference_id: str) -> None:
        self._steps.store.delete(reference_id)
        self._steps.kept.remove_reference(reference_id)

    def search_frame(
        self, file: Path | str, *, time_s: float = 0.0, library: str = "", limit: int = 10
    ) -> tuple[FrameFound, ...]:
        """References that show a picture: an image, or the frame of a video at `time_s`."""
        libraries = [library] if library else []
        with self._steps.obtained(file, "") as source:
            found = self._steps.find_frame(source, time_s, libraries=libraries, limit=limit)
        return tuple(map(FrameFound.of, found))

    def list_libraries(self) -> tuple[Library, ...]:
        counts = sorted(self._steps.store.libraries().items())
        return tuple(Library(name=name, references=count) for name, count in counts)

    def list_checks(
        self, *, outcome: str = "", reference_id: str = "", limit: int = 50, cursor: str = ""
    ) -> Page[Check]:
        page = self._ledger.list_checks(
            outcome=_one_of(Outcome, outcome, "outcome") if outcome else None,
            reference_id=reference_id,
            limit=limit,
            cursor=cursor,
        )
        return Page[Check].of(page, self._shown)

    def review_queue(
        self, *, state: str = "open", limit: int = 50, cursor: str = ""
    ) -> ReviewQueue:
        least = self._settings.policy.review_probability
        page = self._ledger.reviews.queue(
            state=_one_of(ReviewState, state, "state"),
            least_probability=least,
            by_policy=True,
            limit=limit,
            cursor=cursor,
        )
        counts = self._ledger.reviews.counts(least_probability=least)
        return ReviewQueue(
            items=tuple(map(ReviewItem.of, page.items)),
            next_cursor=page.next_cursor,
            counts={name.value: count for name, count in counts.items()},
        )

    def list_reviews(
        self, *, check_id: str = "", reference_id: str = "", limit: int = 50, cursor: str = ""
    ) -> Page[Review]:
        page = self._ledger.reviews.list(
            check_id=check_id, reference_id=reference_id, limit=limit, cursor=cursor
        )
        return Page[Review].of(page, Review.of)

    def review(
        self, check_id: str, reference_id: str, *, decision: str, reviewer: str = "", note: str = ""
    ) -> Review:
        """`decision`: confirmed, rejected, licensed, reopened or comment."""
        said = self._ledger.reviews.record(
            check_id,
            reference_id,
            decision=_one_of(Decision, decision, "decision"),
            reviewer=reviewer,
            note=note,
        )
        return Review.of(said)

    def list_quarantines(self, *, status: str = "") -> tuple[Quarantine, ...]:
        """References that suddenly matched far more than usual, newest first."""
        state = _one_of(QuarantineState, status, "status") if status else None
        return tuple(map(Quarantine.of, self._ledger.guard.list(state=state)))

    def decide_quarantine(
        self, reference_id: str, *, decision: str, reviewer: str = "", note: str = ""
    ) -> Quarantine:
        """`decision`: release or keep."""
        if decision not in QUARANTINE_DECISIONS:
            raise InvalidRequest(f"`decision` must be one of {', '.join(QUARANTINE_DECISIONS)}")
        decided = self._ledger.guard.decide(
            reference_id, state=QUARANTINE_DECISIONS[decision], reviewer=reviewer, note=note
        )
        return Quarantine.of(decided)

    def get_library_policy(self, library: str) -> LibraryPolicy:
        """The thresholds that hold for matches with this library's references."""
        policies = self._ledger.policies.current()
        used = policy_of(library, self._settings.policy, Standing(policies=policies))
        return LibraryPolicy.of(library, used, policies.get(library))

    def calibrate_library(
        self, library: str, *, least_decisions: int = MIN_DECISIONS, adopt: bool = True
    ) -> Calibration:
        """Raises InvalidRequest for too few decisions."""
        report = calibrate_library(
            self._ledger,
            library,
            self._settings.policy,
            least_decisions=least_decisions,
            adopt=adopt,
        )
        return Calibration.of(library, report, adopted=adopt)

    def _shown(self, check: Checked) -> Check:
        """With the matches that the service would show."""
        least = self._settings.policy.review_probability
        return Check.of(check, min_probability=least, by_policy=True)


def _parsed(rights: Rights) -> terms.Rights:
    """Raises InvalidRights."""
    return parse_rights(rights.model_dump(mode="json"))


def _one_of(kind: type[Kind], value: str, name: str) -> Kind:
    """Raises InvalidRequest."""
    try:
        return kind(value)
    except ValueError as exc:
        raise InvalidRequest(f"`{name}` must be one of {', '.join(kind)}") from exc
