"""Each call of the client, written once and without I/O.

AsyncClient and Client run what is awaited here: in an event loop, or in the caller's thread.
"""

from __future__ import annotations

import logging
import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import BinaryIO, Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter

from dubl.client.errors import JobFailed, StillRunning
from dubl.client.exchange import (
    Operation,
    Query,
    Retries,
    may_repeat,
    not_reachable,
    opened,
    read,
    read_readiness,
    require_alive,
)
from dubl.contract.bodies import (
    Accepted,
    AuditEntry,
    Calibration,
    Check,
    Delivery,
    Evidence,
    FrameFound,
    Hold,
    Items,
    Job,
    Key,
    Library,
    LibraryPolicy,
    Match,
    MissingReference,
    NewKey,
    Page,
    Quarantine,
    Readiness,
    Reference,
    Review,
    Reviewed,
    ReviewQueue,
    Rights,
    Spaces,
    SpaceSwitch,
)
from dubl.contract.queries import NO_FILTERS, QueueFilters
from dubl.contract.requests import ReviewsItem
from dubl.errors import FingerprintMismatch, InputError, ResourceError
from dubl.types import MIN_DECISIONS

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Sending = Literal["file", "fingerprint-first"]
OnProgress = Callable[[str, float], None]
OnJob = Callable[[Job], None]

LONGEST_POLL_S = 20.0  # seconds of one Prefer: wait; chosen
POLL_PAUSE_S = 0.2  # seconds between two requests; chosen

_CHECK_OR_ACCEPTED: TypeAdapter[Check | Accepted] = TypeAdapter(Check | Accepted)
_REFERENCE_OR_ACCEPTED: TypeAdapter[Reference | Accepted] = TypeAdapter(Reference | Accepted)


class Operations(ABC):
    """The calls of a service. Every call raises ApiError, NotReachable."""

    _retries: Retries

    @abstractmethod
    async def _send(
        self, operation: Operation[Result], file: BinaryIO | None = None
    ) -> httpx.Response:
        """One try. Raises httpx.HTTPError."""

    @abstractmethod
    async def _fingerprinted(self, file: Path, folder: Path) -> Path:
        """Writes the fingerprint of a file into a folder. Raises DublError."""

    @abstractmethod
    async def _pause(self, seconds: float) -> None: ...

    @abstractmethod
    async def _store(self, address: str, path: Path) -> None:
        """Writes an answer to a new file. Raises httpx.HTTPError, ApiError, OSError."""

    async def check(
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
        timeout_s: float = 600.0,
        on_progress: OnProgress | None = None,
        send: Sending = "file",
    ) -> Check:
        """The verdict on a file or link.

        `channel`, `territory` (two letters) and `time` (ISO 8601; default: now) describe where and
        when it will be shown. Waits up to `timeout_s`. `on_progress` gets the stage and the
        finished share of the usual work. `send`: "fingerprint-first" makes the file's fingerprint
        here (extra `fingerprint`) and sends the file only if that leaves doubt; each question has
        an id of its own. `reference_id`: a reference that is compared whatever the search finds,
        and of which evidence is kept. Raises JobFailed if the video cannot be checked, StillRunning
        after the time, and ValueError for "fingerprint-first" without a file, or with an id or
        callback.
        """
        if send == "fingerprint-first":
            if not file or id or callback_url:
                raise ValueError("fingerprint-first takes a file, no id and no callback_url")
            ask = partial(
                self.check,
                libraries=libraries,
                channel=channel,
                territory=territory,
                time=time,
                reference_id=reference_id,
                timeout_s=timeout_s,
                on_progress=on_progress,
            )
            return await self._sure_of_fingerprint(ask, Path(file)) or await ask(file)
        accepted = await self.submit_check(
            file,
            link=link,
            id=id,
            libraries=libraries,
            channel=channel,
            territory=territory,
            time=time,
            callback_url=callback_url,
            reference_id=reference_id,
        )
        deadline = monotonic() + timeout_s
        if on_progress is not None or id:  # an id may be that of an earlier check of other bytes
            tell = None if on_progress is None else _told_by_jobs(on_progress)
            job = await self.wait_for_job(accepted.job_id, timeout_s=timeout_s, on_job=tell)
            require_alive(job)
        return await self.wait_for_check(accepted.id, timeout_s=max(deadline - monotonic(), 0.0))

    async def _sure_of_fingerprint(
        self, ask: Callable[[Path], Awaitable[Check]], file: Path
    ) -> Check | None:
        """The answer to a file's fingerprint; None if it leaves doubt, or if none can be made or
        compared, so that the service must see the file."""
        try:
            with TemporaryDirectory() as folder:
                answer = await ask(await self._fingerprinted(file, Path(folder)))
        except (InputError, ResourceError) as exc:
            logger.warning("%s: no fingerprint was made: %s", file.name, exc.detail)
            return None
        except JobFailed as exc:
            if exc.code != FingerprintMismatch.code:
                raise
            logger.warning("%s: %s", file.name, exc.detail)
            return None
        return None if answer.needs else answer

    async def submit_check(
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
    ) -> Accepted:
        """Submits a check and returns at once."""
        # An id of its own lets it be repeated: the first verdict of an id stays.
        fields = {
            "id": id or str(uuid.uuid4()),
            "link": link,
            "channel": channel,
            "territory": territory,
            "time": time,
            "callback_url": callback_url,
            "reference_id": reference_id,
        }
        operation = Operation(
            method="POST",
            path="/v1/checks",
            read=Accepted.model_validate_json,
            query={"library": tuple(libraries)},
            body=_given(fields),
            file=_path(file),
        )
        return await self._ask(operation)

    async def wait_for_check(self, check_id: str, *, timeout_s: float = 600.0) -> Check:
        """The verdict of a submitted check. Raises JobFailed, StillRunning."""
        deadline = monotonic() + timeout_s
        while True:
            operation = Operation(
                method="GET",
                path=f"/v1/checks/{_quoted(check_id)}",
                read=_CHECK_OR_ACCEPTED.validate_json,
                wait_s=_poll_s(deadline),
            )
            answer = await self._ask(operation)
            if isinstance(answer, Check):
                return answer
            await self._pause_before_asking(answer, deadline)

    async def list_checks(
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
        query: Query = {
            "outcome": outcome,
            "reference_id": reference_id,
            "q": text,
            "sha256": sha256,
            "library": library,
            "since": since,
            "until": until,
            "limit": limit,
            "cursor": cursor,
        }
        return await self._get("/v1/checks", Page[Check].model_validate_json, query)

    async def nearest(self, check_id: str, *, m: int = 5) -> tuple[Match, ...]:
        """The most similar references to a checked video, however weak."""
        path = f"/v1/checks/{_quoted(check_id)}/nearest"
        return (await self._get(path, Items[Match].model_validate_json, {"m": m})).items

    async def search_frame(
        self, file: Path | str, *, time_s: float = 0.0, library: str = "", limit: int = 10
    ) -> tuple[FrameFound, ...]:
        """References that show a picture: an image, or the frame of a video at `time_s`."""
        operation = Operation(
            method="POST",
            path="/v1/search/frame",
            read=Items[FrameFound].model_validate_json,
            query={"limit": limit},
            body=_given({"time_s": time_s, "library": library}),
            file=Path(file),
        )
        return (await self._ask(operation)).items

    async def delete_check(self, check_id: str) -> None:
        """Deletes a check with all that is stored of it; not under a legal hold."""
        path = f"/v1/checks/{_quoted(check_id)}"
        await self._ask(Operation(method="DELETE", path=path, read=bytes))

    async def list_holds(self) -> tuple[Hold, ...]:
        """Checks under a legal hold, newest first."""
        return (await self._get("/v1/holds", Items[Hold].model_validate_json)).items

    async def hold_check(self, check_id: str, *, reason: str = "") -> Hold:
        """Keeps a check and its evidence until `release_check`."""
        path = f"/v1/checks/{_quoted(check_id)}/hold"
        body = {"reason": reason}
        return await self._ask(
            Operation(method="PUT", path=path, body=body, read=Hold.model_validate_json)
        )

    async def release_check(self, check_id: str) -> None:
        """Ends a legal hold."""
        path = f"/v1/checks/{_quoted(check_id)}/hold"
        await self._ask(Operation(method="DELETE", path=path, read=bytes))

    async def get_evidence(self, check_id: str, reference_id: str) -> Evidence:
        """The evidence of a match."""
        path = f"/v1/checks/{_quoted(check_id)}/matches/{_quoted(reference_id)}/evidence"
        return await self._get(path, Evidence.model_validate_json)

    async def download(self, address: str) -> bytes:
        """A picture or file at an address from an answer."""
        return await self._get(address, bytes)

    async def save(self, address: str, path: Path) -> None:
        """Streams an answer to a new file. Raises OSError."""
        try:
            await self._store(address, path)
        except httpx.HTTPError as exc:
            raise not_reachable(exc) from exc

    async def register(
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
        timeout_s: float = 600.0,
    ) -> Reference:
        """Registers a file, a link, or a path on the service's machine, and waits until it is
        ready.

        For bytes that are registered already it returns that reference; if it has another id,
        owner, metadata or rights than these, that is an error `already_registered`. Raises
        JobFailed if the video cannot be registered, StillRunning after the time.
        """
        deadline = monotonic() + timeout_s
        fields = {
            "link": link,
            "path": path,
            "id": id,
            "library": library,
            "title": title,
            "owner": owner,
            "metadata": dict(metadata or {}),
            "rights": _plain(rights),
        }
        # May be repeated: the same bytes registered twice in a library are one reference.
        operation = Operation(
            method="POST",
            path="/v1/references",
            read=_REFERENCE_OR_ACCEPTED.validate_json,
            body=_given(fields),
            file=_path(file),
            wait_s=_poll_s(deadline),
        )
        answer = await self._ask(operation)
        while not isinstance(answer, Reference):
            if not answer.same_as:
                await self._pause_before_asking(answer, deadline)
            wanted = answer.same_as or answer.id
            answer = await self._reference(wanted, wait_s=_poll_s(deadline))
        return answer

    async def get_reference(self, reference_id: str) -> Reference:
        """A reference. Raises ApiError, and StillRunning while it is being registered."""
        answer = await self._reference(reference_id)
        if isinstance(answer, Reference):
            return answer
        if answer.same_as:
            return await self.get_reference(answer.same_as)
        require_alive(answer)
        raise StillRunning(answer.id)

    async def list_references(
        self,
        *,
        library: str = "",
        owner: str = "",
        text: str = "",
        limit: int = 50,
        cursor: str = "",
    ) -> Page[Reference]:
        """References, newest first; `text` is searched in id, title and source."""
        query: Query = {
            "library": library,
            "owner": owner,
            "q": text,
            "limit": limit,
            "cursor": cursor,
        }
        return await self._get("/v1/references", Page[Reference].model_validate_json, query)

    async def update_reference(
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
        change = {"title": title, "owner": owner, "metadata": metadata, "rights": _plain(rights)}
        operation = Operation(
            method="PATCH",
            path=f"/v1/references/{_quoted(reference_id)}",
            read=Reference.model_validate_json,
            body={name: value for name, value in change.items() if value is not None},
        )
        return await self._ask(operation)

    async def delete_reference(self, reference_id: str) -> None:
        """Deletes a reference. It disappears from all answers at once."""
        path = f"/v1/references/{_quoted(reference_id)}"
        await self._ask(Operation(method="DELETE", path=path, read=bytes))

    async def list_libraries(self) -> tuple[Library, ...]:
        """Libraries with the number of their references."""
        return (await self._get("/v1/libraries", Items[Library].model_validate_json)).items

    async def get_library_policy(self, library: str) -> LibraryPolicy:
        """The thresholds in force for matches with this library's references."""
        path = f"/v1/libraries/{_quoted(library)}/policy"
        return await self._get(path, LibraryPolicy.model_validate_json)

    async def calibrate_library(
        self, library: str, *, least_decisions: int = MIN_DECISIONS, adopt: bool = True
    ) -> Calibration:
        """Fits a library's thresholds to its review decisions."""
        path = f"/v1/libraries/{_quoted(library)}/calibrate"
        body = {"least_decisions": least_decisions, "adopt": adopt}
        return await self._post(path, Calibration.model_validate_json, body)

    async def review_queue(
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
        query: Query = {
            **filters.model_dump(mode="json", exclude_defaults=True),
            "state": state,
            "sort": sort,
            "facets": facets,
            "limit": limit,
            "cursor": cursor,
        }
        return await self._get("/v1/reviews/queue", ReviewQueue.model_validate_json, query)

    async def list_reviews(
        self, *, check_id: str = "", reference_id: str = "", limit: int = 50, cursor: str = ""
    ) -> Page[Review]:
        """Decisions and comments, newest first."""
        query: Query = {
            "check_id": check_id,
            "reference_id": reference_id,
            "limit": limit,
            "cursor": cursor,
        }
        return await self._get("/v1/reviews", Page[Review].model_validate_json, query)

    async def review(
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

        if_state: the state that you have seen. If it is another one by now, that is an error
        `state_conflict` whose context tells who has decided, and when. Empty: whatever it is.
        """
        body = {
            "check_id": check_id,
            "reference_id": reference_id,
            "decision": decision,
            "reviewer": reviewer,
            "note": note,
            "if_state": if_state or None,
            "until": until or None,
            "exclude": exclude,
        }
        return await self._post("/v1/reviews", Review.model_validate_json, body)

    async def review_many(
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
        body = {
            "items": [one.model_dump(mode="json") for one in items],
            "reviewer": reviewer,
            "note": note,
            "dry_run": dry_run,
        }
        return await self._post("/v1/reviews/many", Reviewed.model_validate_json, body)

    async def list_quarantines(self, *, status: str = "") -> tuple[Quarantine, ...]:
        """Quarantined references, newest first."""
        read = Items[Quarantine].model_validate_json
        return (await self._get("/v1/reviews/quarantine", read, {"status": status})).items

    async def decide_quarantine(
        self, reference_id: str, *, decision: str, reviewer: str = "", note: str = ""
    ) -> Quarantine:
        """`decision`: release or keep."""
        body = {
            "reference_id": reference_id,
            "decision": decision,
            "reviewer": reviewer,
            "note": note,
        }
        return await self._post("/v1/reviews/quarantine", Quarantine.model_validate_json, body)

    async def submit_batch(
        self,
        archive: Path | str = "",
        *,
        links: Sequence[str] = (),
        kind: str = "check",
        library: str = "",
        owner: str = "",
        callback_url: str = "",
    ) -> Accepted:
        """Many videos as one job: a zip, or links. `kind`: check or reference."""
        fields = {
            "links": list(links),
            "kind": kind,
            "library": library,
            "owner": owner,
            "callback_url": callback_url,
        }
        return await self._post(
            "/v1/batches", Accepted.model_validate_json, _given(fields), file=_path(archive)
        )

    async def get_job(self, job_id: str) -> Job:
        """A job with its progress."""
        return await self._get(f"/v1/jobs/{_quoted(job_id)}", Job.model_validate_json)

    async def wait_for_job(
        self, job_id: str, *, timeout_s: float = 600.0, on_job: OnJob | None = None
    ) -> Job:
        """The job after its end, successful or not; `on_job` gets it at each poll.

        Raises StillRunning after the time.
        """
        deadline = monotonic() + timeout_s
        while True:
            job = await self.get_job(job_id)
            if on_job is not None:
                on_job(job)
            if job.ended:
                return job
            if monotonic() >= deadline:
                raise StillRunning(job_id)
            await self._pause(POLL_PAUSE_S)

    async def list_jobs(
        self,
        *,
        status: str = "",
        batch: str = "",
        dead: bool | None = None,
        limit: int = 50,
        cursor: str = "",
    ) -> Page[Job]:
        """Jobs, newest first. `batch` selects the jobs of a batch, `dead` those that were given up,
        or the others.
        """
        query: Query = {
            "status": status,
            "batch": batch,
            "dead": dead,
            "limit": limit,
            "cursor": cursor,
        }
        return await self._get("/v1/jobs", Page[Job].model_validate_json, query)

    async def cancel_job(self, job_id: str) -> Job:
        """Cancels a job; a batch with all its jobs."""
        path = f"/v1/jobs/{_quoted(job_id)}"
        return await self._ask(Operation(method="DELETE", path=path, read=Job.model_validate_json))

    async def requeue_job(self, job_id: str) -> Job:
        """Queues a dead job again."""
        path = f"/v1/jobs/{_quoted(job_id)}/requeue"
        return await self._ask(Operation(method="POST", path=path, read=Job.model_validate_json))

    async def list_deliveries(
        self, *, job_id: str = "", status: str = "", limit: int = 50, cursor: str = ""
    ) -> Page[Delivery]:
        """Webhooks, newest first."""
        query: Query = {"job_id": job_id, "status": status, "limit": limit, "cursor": cursor}
        return await self._get("/v1/deliveries", Page[Delivery].model_validate_json, query)

    async def replay_delivery(self, delivery_id: str) -> Delivery:
        """Delivers a webhook again."""
        path = f"/v1/deliveries/{_quoted(delivery_id)}/replay"
        return await self._post(path, Delivery.model_validate_json)

    async def create_key(
        self,
        name: str,
        *,
        scopes: Sequence[str],
        libraries: Sequence[str] = (),
        requests_per_minute: int = 0,
        jobs_per_day: int = 0,
    ) -> NewKey:
        """Creates a key. Its token is only in this answer."""
        body = {
            "name": name,
            "scopes": list(scopes),
            "libraries": list(libraries),
            "requests_per_minute": requests_per_minute,
            "jobs_per_day": jobs_per_day,
        }
        return await self._post("/v1/keys", NewKey.model_validate_json, body)

    async def list_keys(self) -> tuple[Key, ...]:
        """All keys, also revoked ones, without their secrets."""
        return (await self._get("/v1/keys", Items[Key].model_validate_json)).items

    async def revoke_key(self, key_id: str) -> Key:
        """Revokes a key."""
        path = f"/v1/keys/{_quoted(key_id)}"
        return await self._ask(Operation(method="DELETE", path=path, read=Key.model_validate_json))

    async def list_audit(
        self, *, key_id: str = "", since: str = "", limit: int = 50, cursor: str = ""
    ) -> Page[AuditEntry]:
        """Who decided, changed, exported or deleted what, newest first."""
        query: Query = {"key_id": key_id, "since": since, "limit": limit, "cursor": cursor}
        return await self._get("/v1/audit", Page[AuditEntry].model_validate_json, query)

    async def list_spaces(self, *, since: str = "") -> Spaces:
        """Feature spaces in service, the answering one, and the comparison with the other one.

        The comparison counts shadow checks since a time (ISO 8601), or all.
        """
        return await self._get("/v1/spaces", Spaces.model_validate_json, {"since": since})

    async def missing_references(
        self, space_id: str, *, limit: int = 500, cursor: str = ""
    ) -> Page[MissingReference]:
        """References that a space lacks and another one holds, sorted by id."""
        path = f"/v1/spaces/{_quoted(space_id)}/missing"
        query: Query = {"limit": limit, "cursor": cursor}
        return await self._get(path, Page[MissingReference].model_validate_json, query)

    async def switch_space(
        self, space_id: str, *, force: bool = False, note: str = ""
    ) -> SpaceSwitch:
        """Switches to another answering space; `force`: even if it lacks references."""
        body = {"space_id": space_id, "force": force, "note": note}
        return await self._post("/v1/spaces/switch", SpaceSwitch.model_validate_json, body)

    async def roll_back_space(self, *, note: str = "") -> SpaceSwitch:
        """Switches back to the previous answering space."""
        read = SpaceSwitch.model_validate_json
        return await self._post("/v1/spaces/rollback", read, {"note": note})

    async def readiness(self) -> Readiness:
        """Whether the service accepts requests, and what it waits for."""
        try:
            answer = await self._send(Operation(method="GET", path="/readyz", read=bytes))
        except httpx.HTTPError as exc:
            raise not_reachable(exc) from exc
        return read_readiness(answer)

    async def _reference(self, reference_id: str, *, wait_s: float = 0.0) -> Reference | Accepted:
        operation = Operation(
            method="GET",
            path=f"/v1/references/{_quoted(reference_id)}",
            read=_REFERENCE_OR_ACCEPTED.validate_json,
            wait_s=wait_s,
        )
        return await self._ask(operation)

    async def _get(
        self,
        path: str,
        read: Callable[[bytes], Result],
        query: Query | None = None,
    ) -> Result:
        return await self._ask(Operation(method="GET", path=path, read=read, query=query or {}))

    async def _post(
        self,
        path: str,
        read: Callable[[bytes], Result],
        body: Mapping[str, object] | None = None,
        *,
        file: Path | None = None,
    ) -> Result:
        """A request that must not happen twice, so it is never retried."""
        operation = Operation(
            method="POST", path=path, read=read, body=body, file=file, repeatable=False
        )
        return await self._ask(operation)

    async def _ask(self, operation: Operation[Result]) -> Result:
        with opened(operation) as file:
            for number in range(1, self._retries.tries + 1):
                outcome: httpx.Response | httpx.HTTPError
                try:
                    outcome = await self._send(operation, file)
                except httpx.HTTPError as exc:
                    outcome = exc
                if number == self._retries.tries or not may_repeat(operation, outcome):
                    break
                await self._pause(self._retries.pause_after(number, outcome))
        if isinstance(outcome, httpx.HTTPError):
            raise not_reachable(outcome) from outcome
        return read(operation, outcome)

    async def _pause_before_asking(self, accepted: Accepted, deadline: float) -> None:
        """Waits before the next poll. Raises JobFailed, StillRunning."""
        require_alive(accepted)
        if monotonic() >= deadline:
            raise StillRunning(accepted.id)
        await self._pause(POLL_PAUSE_S)


def _told_by_jobs(on_progress: OnProgress) -> OnJob:
    return lambda job: on_progress(job.stage, job.progress)


def _poll_s(deadline: float) -> float:
    """Seconds to wait for an answer, with a `deadline` (monotonic seconds)."""
    return min(max(deadline - monotonic(), 0.0), LONGEST_POLL_S)


def _path(file: Path | str) -> Path | None:
    return Path(file) if file else None


def _plain(rights: Rights | None) -> Mapping[str, object] | None:
    return None if rights is None else rights.model_dump(mode="json")


def _given(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields with a value."""
    return {name: value for name, value in fields.items() if value}


def _quoted(identifier: str) -> str:
    return quote(identifier, safe="")
