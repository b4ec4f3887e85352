"""Dubl in this process, on a data folder that no service holds.

Methods, parameters and answers are those of dubl.client.client.Client.

with LocalClient("data") as dubl:
    print(dubl.check("upload.mp4").outcome)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from dubl.assembly import make_spool
from dubl.client.operations import OnProgress, Sending
from dubl.closing import Closing
from dubl.contract.bodies import (
    Calibration,
    Check,
    Evidence,
    FrameFound,
    Library,
    LibraryPolicy,
    Match,
    Page,
    Quarantine,
    Reference,
    Review,
    Reviewed,
    ReviewQueue,
    Rights,
)
from dubl.contract.forms import read_form
from dubl.contract.names import plain_text
from dubl.contract.orders import FrameSearch, ReferenceOrder, Terms
from dubl.contract.queries import NO_FILTERS, CheckFilters, QueueFilters, QueueQuery
from dubl.contract.requests import (
    ChangeForm,
    CheckForm,
    FrameForm,
    QuarantineRequest,
    ReferenceForm,
    ReviewRequest,
    ReviewsItem,
    ReviewsRequest,
)
from dubl.engine.in_process import InProcess
from dubl.engine.ledger import Part
from dubl.engine.lookback import lookback_id
from dubl.engine.review_queue import read_queue
from dubl.errors import InvalidRequest, JobNotFound, error_class
from dubl.ledger.guard import Guard
from dubl.ledger.job_queue import JobQueue
from dubl.ledger.ledger import Ledger
from dubl.ledger.policies import Policies
from dubl.ledger.reviews import Reviews
from dubl.matching.decision import policy_of
from dubl.media.sources import local_source
from dubl.media.spool import too_large
from dubl.settings import Settings, load_settings
from dubl.types import (
    MIN_DECISIONS,
    Job,
    JobState,
    PriorDecisions,
    QuarantineState,
    VideoSource,
)
from dubl.types import Check as Checked

Kind = TypeVar("Kind", bound=StrEnum)
P = ParamSpec("P")
Result = TypeVar("Result")

COPIED_BYTES = 1024 * 1024  # at once; chosen
# Seconds between calls of a progress callback.
TELL_S = 0.25
# Registrations in one session from which on the library is compacted and indexed at its end.
KEEP_UP_FROM = 16


def nothing(_stage: str, _share: float) -> None:
    """Default progress callback; does nothing."""


class LocalClient(Closing):
    """A client on a data folder; it holds the ledger until it is closed. Methods raise DublError.

    Calls that need a service are missing: jobs, batches, webhooks, keys, feature spaces.
    """

    def __init__(self, data: Path | str = "data", *, settings: Settings | None = None) -> None:
        """A data folder with default settings, or with `settings`.

        Raises StoreHeld while a service or another command holds the data folder.
        """
        self._settings = _local(settings or load_settings(overrides=[f"data_dir={data}"]))
        self._process = InProcess(self._settings)
        self._engine = self._process.engine
        self._spool = make_spool(self._settings)
        self._registered = 0
        try:
            self._process.call(self._engine.steps.ledger.ready)
        except BaseException:
            self._process.close()
            raise

    def close(self) -> None:
        if self._registered >= KEEP_UP_FROM:
            self._process.call(self._engine.steps.librarian.keep_up)
        self._process.close()

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
        reference_id: str = "",
        timeout_s: float = 600.0,  # noqa: ARG002
        on_progress: OnProgress | None = None,
        send: Sending = "file",  # noqa: ARG002
    ) -> Check:
        """The verdict on a file or link, and where and when it will be shown. Without a time limit.
        Nothing is sent, so `send` changes nothing.

        `reference_id`: a reference that is compared whatever the search finds, and of which
        evidence is kept. Verdict and evidence are stored. Raises InvalidRequest for a
        `callback_url`, which needs a service, and ReferenceNotFound.
        """
        if callback_url:
            raise InvalidRequest("`callback_url` needs a running service")
        place = {"channel": channel, "territory": territory, "time": time}
        what = {"link": link, "id": id, "reference_id": reference_id}
        order = read_form(CheckForm, {**what, **place}).order(self._upload(file), libraries)
        if reference_id:
            self.get_reference(reference_id)
        self._process.run(self._engine.require_libraries(order.libraries))
        submitted = self._engine.jobs.accept(order, Terms(waits=True))
        job = self._process.run(self._finished(submitted, on_progress or nothing))
        return self._shown(self._ask(Ledger.get_check, job.result_id))

    def wait_for_check(self, check_id: str, *, timeout_s: float = 600.0) -> Check:  # noqa: ARG002
        """An earlier check. Raises CheckNotFound."""
        return self._shown(self._ask(Ledger.get_check, check_id))

    def nearest(self, check_id: str, *, m: int = 5) -> tuple[Match, ...]:
        """The most similar references to a checked video, however weak."""
        ranked = self._ask(Ledger.get_check, check_id).verdict.nearest()
        return tuple(map(Match.of, ranked[:m]))

    def get_evidence(self, check_id: str, reference_id: str) -> Evidence:
        """The evidence of a match."""
        check = self._ask(Ledger.get_check, check_id)
        return self._process.run(self._engine.explain(check, reference_id))

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
        """Registers a file, a link or a path of this machine. Without a time limit.

        For bytes that are registered already it returns that reference. Raises AlreadyRegistered
        if it has another id, owner, metadata or rights than these.
        """
        fields = {
            "link": link,
            "id": id,
            "library": library,
            "title": title,
            "owner": owner,
            "metadata": dict(metadata or {}),
            "rights": _plain(rights),
        }
        order = read_form(ReferenceForm, fields).order(self._upload(file or path))
        job = self._process.run(self._registered_by(order))
        self._registered += 1
        return self.get_reference(job.result_id)

    def get_reference(self, reference_id: str) -> Reference:
        return Reference.of(self._process.call(self._engine.steps.librarian.get, reference_id))

    def list_references(
        self,
        *,
        library: str = "",
        owner: str = "",
        text: str = "",
        limit: int = 50,
        cursor: str = "",
    ) -> Page[Reference]:
        self._require_library(library)
        listing = self._engine.steps.librarian.list
        page = self._process.call(listing, library, owner, text, limit, cursor)
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
        """Changes the given fields; rights are replaced as a whole and apply to later checks at
        once."""
        fields = {"title": title, "owner": owner, "metadata": metadata, "rights": _plain(rights)}
        change = ChangeForm.change({k: v for k, v in fields.items() if v is not None})
        update = self._engine.steps.librarian.update
        return Reference.of(self._process.call(update, reference_id, change))

    def delete_reference(self, reference_id: str) -> None:
        self._process.run(self._engine.delete_reference(reference_id))

    def search_frame(
        self, file: Path | str, *, time_s: float = 0.0, library: str = "", limit: int = 10
    ) -> tuple[FrameFound, ...]:
        """References that show a picture: an image, or the frame of a video at `time_s`."""
        form = read_form(FrameForm, {"time_s": time_s, "library": library})
        self._require_library(form.library)
        source = self._opened(Path(file))
        search = FrameSearch(
            source=source,
            at_s=form.time_s,
            libraries=(form.library,) if form.library else (),
            limit=limit,
        )
        try:
            found = self._process.run(self._engine.search_frame(search))
        finally:
            self._spool.remove(source)
        return tuple(map(FrameFound.of, found))

    def list_libraries(self) -> tuple[Library, ...]:
        counts = sorted(self._process.call(self._engine.steps.librarian.libraries).items())
        return tuple(Library(name=name, references=count) for name, count in counts)

    def list_checks(
        self,
        *,
        outcome: str = "",
        reference_id: str = "",
        text: str = "",
        sha256: str = "",
        library: str = "",
        since: str = "",
        until: str = "",
        limit: int = 50,
        cursor: str = "",
    ) -> Page[Check]:
        """Finished checks, newest first.

        text: in the upload's name. sha256: of the upload, or its beginning. library: that was
        searched. since, until: UTC, ISO 8601, or its beginning: "2026-01-02" is the whole day.
        """
        given = {"sha256": sha256, "library": library, "since": since, "until": until}
        query = read_form(CheckFilters, {"outcome": outcome or None, **given})
        self._require_library(library)
        page = self._ask(
            Ledger.list_checks,
            outcome=query.outcome,
            reference_id=reference_id,
            text=text,
            sha256=sha256,
            library=library,
            since=since,
            until=until,
            limit=limit,
            cursor=cursor,
        )
        return Page[Check].of(page, self._shown)

    def delete_check(self, check_id: str) -> None:
        """Deletes a check with all that is stored of it; not under a legal hold."""
        self._ask(Ledger.get_check, check_id)
        self._process.run(self._engine.delete_check(check_id))

    def review_queue(
        self,
        *,
        state: str = "open",
        filters: QueueFilters = NO_FILTERS,
        sort: str = "newest",
        facets: bool = False,
        limit: int = 50,
        cursor: str = "",
    ) -> ReviewQueue:
        """Matches in the review queue. `state`: empty for all.

        sort: newest, oldest, doubtful, seconds, probability, reference or upload. facets: counts
        for each filter, too.
        """
        page = {"state": state or None, "sort": sort, "facets": facets, "limit": limit}
        query = read_form(QueueQuery, {**filters.model_dump(), **page, "cursor": cursor})
        self._require_library(query.library)
        return self._process.run(read_queue(self._engine, query))

    def list_reviews(
        self, *, check_id: str = "", reference_id: str = "", limit: int = 50, cursor: str = ""
    ) -> Page[Review]:
        page = self._ask(
            Reviews.list, check_id=check_id, reference_id=reference_id, limit=limit, cursor=cursor
        )
        return Page[Review].of(page, Review.of)

    def review(
        self,
        check_id: str,
        reference_id: str,
        *,
        decision: str,
        reviewer: str = "",
        note: str = "",
        if_state: str = "",
        until: str = "",
        exclude: bool = False,
    ) -> Review:
        """`decision`: confirmed, rejected, licensed, disputed, upheld, released, reopened or
        comment.

        until: of a dispute, ISO 8601; unanswered by then, it releases the match. exclude: with
        released, the copied seconds of the reference become excluded segments.

        if_state: the state that you have seen. Raises StateConflict if it is another one by now.
        """
        fields = {"decision": decision, "reviewer": reviewer, "note": note, "until": until or None}
        match = {"check_id": check_id, "reference_id": reference_id}
        seen = {"if_state": if_state or None, "exclude": exclude}
        request = read_form(ReviewRequest, {**match, **fields, **seen})
        said = self._ask(
            Reviews.record,
            check_id,
            reference_id,
            decision=request.decision,
            reviewer=reviewer,
            note=note,
            if_state=request.if_state,
            until=request.until or "",
        )
        if request.exclude:
            self._process.run(self._engine.exclude_copied(check_id, reference_id))
        return Review.of(said)

    def review_many(
        self,
        items: Sequence[ReviewsItem],
        *,
        reviewer: str = "",
        note: str = "",
        dry_run: bool = False,
    ) -> Reviewed:
        """Decides on up to 500 matches in one step; with `dry_run` it only tells.

        Matches in another state than their `if_state` are left as they are, and returned as
        `conflicts`.
        """
        fields = {"items": items, "reviewer": reviewer, "note": note, "dry_run": dry_run}
        request = read_form(ReviewsRequest, fields)
        recorded = self._ask(
            Reviews.record_all, request.judgements, reviewer=reviewer, note=note, dry_run=dry_run
        )
        return Reviewed.of(recorded, dry_run=dry_run)

    def list_quarantines(self, *, status: str = "") -> tuple[Quarantine, ...]:
        """Quarantined references, newest first."""
        state = _one_of(QuarantineState, status, "status") if status else None
        return tuple(map(Quarantine.of, self._ask(Guard.list, state=state)))

    def decide_quarantine(
        self, reference_id: str, *, decision: str, reviewer: str = "", note: str = ""
    ) -> Quarantine:
        """`decision`: release or keep."""
        fields = {"decision": decision, "reviewer": reviewer, "note": note}
        request = read_form(QuarantineRequest, {"reference_id": reference_id, **fields})
        decided = self._ask(
            Guard.decide, reference_id, state=request.state, reviewer=reviewer, note=note
        )
        return Quarantine.of(decided)

    def get_library_policy(self, library: str) -> LibraryPolicy:
        """The thresholds in force for matches with this library's references."""
        policies = self._ask(Policies.current)
        if library not in policies:
            self._require_library(library)
        used = policy_of(library, self._settings.policy, PriorDecisions(policies=policies))
        return LibraryPolicy.of(library, used, policies.get(library))

    def calibrate_library(
        self, library: str, *, least_decisions: int = MIN_DECISIONS, adopt: bool = True
    ) -> Calibration:
        """Fits the thresholds to review decisions. Raises InvalidRequest for too few."""
        fitted = self._engine.calibrate(library, least_decisions=least_decisions, adopt=adopt)
        report = self._process.run(fitted)
        return Calibration.of(library, report, adopted=adopt)

    def _require_library(self, library: str) -> None:
        self._process.run(self._engine.require_libraries([library] if library else []))

    def _ask(
        self, method: Callable[Concatenate[Part, P], Result], *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        return self._process.run(self._engine.ledger.ask(method, *args, **kwargs))

    async def _registered_by(self, order: ReferenceOrder) -> Job:
        """The registration, after the comparison of earlier uploads with the new reference."""
        job = await self._finished(self._engine.jobs.accept(order, Terms(waits=True)), nothing)
        if self._settings.lookback.keep_uploads:
            await self._look_back(lookback_id(job))
        return job

    async def _look_back(self, job_id: str) -> None:
        """Does the job, which ends when the checks that it makes have ended."""
        runner = self._engine.runner
        assert runner is not None
        with suppress(JobNotFound):  # the reference was there already
            await runner.run_one(job_id)
            children = await self._engine.ledger.ask(JobQueue.list, parent_id=job_id)
            for child in children.items:
                await self._until_ended(child.id, nothing)
            await self._until_ended(job_id, nothing)

    async def _finished(self, submitted: Coroutine[object, object, Job], tell: OnProgress) -> Job:
        """The job when it is done. Raises its error; an interrupt cancels it."""
        job = await submitted
        try:
            job = await self._until_ended(job.id, tell)
        except asyncio.CancelledError:
            await self._engine.jobs.cancel(job.id)
            raise
        if job.state is not JobState.DONE:
            raise error_class(job.error_code)(job.error_detail)
        return job

    async def _until_ended(self, job_id: str, tell: OnProgress) -> Job:
        """Runs the job in this process, with its retries."""
        runner = self._engine.runner
        assert runner is not None
        while True:
            await runner.run_one(job_id)
            while (task := runner.task_of(job_id)) is not None:
                progress = runner.progress_of(job_id)
                tell(progress.stage, progress.share)
                await asyncio.wait({task}, timeout=TELL_S)
            job = await self._engine.ledger.ask(JobQueue.get, job_id)
            if job.state.ended:
                return job
            await asyncio.sleep(TELL_S)

    def _upload(self, file: Path | str) -> VideoSource | None:
        return self._opened(Path(file)) if file else None

    def _opened(self, file: Path) -> VideoSource:
        """A file of this machine, in any folder. Raises SourceNotFound, SourceTooLarge.

        Orders and forms take UTF-8 only: other files are copied into the spool, until their job
        ends.
        """
        source = local_source(file.resolve(), name=plain_text(file.name))
        if source.size_bytes > self._settings.media.max_size_bytes:
            raise too_large(self._settings.media.max_size_bytes)
        if plain_text(source.path) == source.path:
            return source
        with file.open("rb") as video, self._spool.writer(source.name) as copy:
            while chunk := video.read(COPIED_BYTES):
                copy.write(chunk)
            return copy.commit()

    def _shown(self, check: Checked) -> Check:
        """The check with the matches that the service would show."""
        least = self._settings.policy.review_probability
        return Check.of(check, min_probability=least, by_policy=True)


def _local(settings: Settings) -> Settings:
    """Settings for one process that may read any file and must see its own writes at once."""
    media = {"decode_processes": 1, "allowed_roots": (Path("/"),)}
    return settings.model_copy(
        update={
            "index": settings.index.model_copy(update={"consistency_interval_s": 0.0}),
            "media": settings.media.model_copy(update=media),
            "lookback": settings.lookback.model_copy(update={"delay_s": 0.0}),
        }
    )


def _plain(rights: Rights | None) -> Mapping[str, object] | None:
    return None if rights is None else rights.model_dump(mode="json")


def _one_of(kind: type[Kind], value: str, name: str) -> Kind:
    """Raises InvalidRequest."""
    try:
        return kind(value)
    except ValueError as exc:
        raise InvalidRequest(f"`{name}` must be one of {', '.join(kind)}") from exc
