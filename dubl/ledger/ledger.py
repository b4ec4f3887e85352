"""Jobs, verdicts, deliveries and decisions, in DuckDB or PostgreSQL.

A method returns only after its changes are on disk. So the ledger, not a queue in memory or a
broker, guarantees that an accepted job will be done.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

from dubl.errors import CheckNotFound, EvidenceNotKept, StateConflict, needs_extra, no_check
from dubl.ledger.api_keys import ApiKeys
from dubl.ledger.audit import Audit
from dubl.ledger.backlog import Backlog, read_backlog
from dubl.ledger.clock import utc_now
from dubl.ledger.database import Database, Row, Value
from dubl.ledger.endings import end_job, hold
from dubl.ledger.guard import Guard, alert
from dubl.ledger.job_queue import JobQueue
from dubl.ledger.outbox import Outbox
from dubl.ledger.policies import Policies
from dubl.ledger.records import CHECKS, between, within
from dubl.ledger.retention import Retention
from dubl.ledger.reviews import Reviews, record_matches, restate
from dubl.ledger.spaces import Spaces
from dubl.rights.terms import CheckContext
from dubl.settings import POSTGRESQL, FloodSettings, LedgerSettings
from dubl.types import Check, JobState, Lease, Outcome, Page, PriorDecisions

BY_ID = CHECKS.select("WHERE id = ?")
NO_GUARD = FloodSettings(enabled=False)
NO_SETTINGS = LedgerSettings()
MAX_CLAIMS = 10_000  # ids of checks that may be under way


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The claimed id of a check, and its question: bytes, libraries, and the context as given."""

    check_id: str
    job_id: str
    query_sha256: str
    libraries: frozenset[str]
    context: CheckContext

    def require_same(self, other: Claim) -> None:
        """Raises StateConflict if another check has this id."""
        if replace(self, job_id="") != replace(other, job_id=""):
            raise StateConflict(
                f"'{self.check_id}' is the id of another check. Send another id, or none.",
                context={"check_id": self.check_id},
            )


def claim_of(check: Check, *, job_id: str = "") -> Claim:
    context = check.verdict.context
    return Claim(
        check_id=check.id,
        job_id=job_id,
        query_sha256=check.query_sha256,
        libraries=frozenset(check.libraries),
        # A context without a time has got that of the check.
        context=replace(context, time="") if context.time == check.created_at else context,
    )


class Ledger:
    """The ledger, whose file one process holds; its threads may share it.

    Every method raises StoreUnavailable if the file, or the server, cannot be read or written.
    """

    def __init__(
        self,
        place: Path | str,
        *,
        flood: FloodSettings = NO_GUARD,
        settings: LedgerSettings = NO_SETTINGS,
    ) -> None:
        """place: a DuckDB file, or postgresql:// and the address of a database. Missing files and
        tables are created. Raises StoreHeld while another process holds the file, StoreReadOnly
        where the server takes no changes.
        """
        self._database = _open(place, settings)
        self.spaces = Spaces(self._database)
        self.jobs = JobQueue(self._database)
        self.outbox = Outbox(self._database)
        self.keys = ApiKeys(self._database)
        self.reviews = Reviews(self._database)
        self.guard = Guard(self._database, flood)
        self.policies = Policies(self._database)
        self.retention = Retention(self._database)
        self.audit = Audit(self._database)
        self._claims: OrderedDict[str, Claim] = OrderedDict()
        self._claiming = Lock()

    @property
    def place(self) -> str:
        """The path of the file, or the address of the database without its password."""
        return self._database.place

    def close(self) -> None:
        """Releases the file for other processes."""
        self._database.close()

    def copy_to(self, path: Path) -> None:
        """Writes the whole ledger, at one moment, to a new file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database.copy_to(path)

    def forget_reference(self, reference_id: str) -> None:
        """Ends what was decided about a reference that was deleted: its id may be used again."""
        with self._database.transaction("forget a reference") as connection:
            connection.execute(
                "INSERT INTO deleted_references VALUES (?, ?) "
                "ON CONFLICT (reference_id) DO UPDATE SET deleted_at = excluded.deleted_at",
                [reference_id, utc_now()],
            )
            connection.execute("DELETE FROM quarantines WHERE reference_id = ?", [reference_id])
            restate(connection, [reference_id])

    def require_current(self, check: Check, reference_id: str) -> None:
        """Raises EvidenceNotKept if the reference was deleted after this check.

        Another video may have its id now.
        """
        rows = self._database.rows(
            "SELECT 1 FROM deleted_references WHERE reference_id = ? AND deleted_at >= ?",
            [reference_id, check.created_at],
        )
        if rows:
            raise EvidenceNotKept(f"reference '{reference_id}' was deleted after this check")

    def move_uploads(self, old: str, new: str) -> None:
        """Updates the spool's address in jobs that are unfinished or may be queued again."""
        with self._database.transaction("move uploads") as connection:
            connection.execute(
                "UPDATE jobs SET request = replace(request, ?, ?) WHERE finished_at = '' OR dead",
                [json.dumps(f"{place}/", ensure_ascii=False)[1:-1] for place in (old, new)],
            )

    def record_check(self, check: Check, *, lease: Lease | None = None) -> Check | None:
        """Stores a verdict and checks for floods; with `lease` it ends the job in the same
        transaction.

        The first verdict of an id stays; it is returned if there was one. Raises LeaseLost,
        JobNotFound, and StateConflict if the id belongs to another check; then nothing is stored.
        """
        with self._database.transaction("record a verdict") as connection:
            if lease is not None and not hold(connection, lease):
                return _found(connection.execute(BY_ID, [check.id]).fetchall(), check.id)
            if CHECKS.add(connection, check, extra=_reported(check)):
                first = None
                record_matches(connection, check)
            else:
                first = _found(connection.execute(BY_ID, [check.id]).fetchall(), check.id)
                claim_of(check).require_same(claim_of(first))
            flooded = self.guard.watch(connection, check)
            if lease is not None:
                end_job(connection, lease.job_id, JobState.DONE, result_id=check.id, created=True)
        for quarantine in flooded:
            alert(quarantine)
        if lease is not None:
            self.jobs.forget(lease.job_id)
        return first

    def prior_decisions(self, query_sha256: str, *, claim: Claim | None = None) -> PriorDecisions:
        """The prior decisions on which a new decision about these bytes depends.

        Raises StateConflict if the claimed id belongs to a check of another question,
        finished or running.
        """
        if claim is not None:
            self._claim(claim)
        return PriorDecisions(
            rejected=self.reviews.rejected_references(query_sha256),
            quarantined=self.guard.kept(),
            policies=self.policies.current(),
        )

    def _claim(self, claim: Claim) -> None:
        with self._claiming:
            with suppress(CheckNotFound):
                claim.require_same(claim_of(self.get_check(claim.check_id)))
            other = self._claims.get(claim.check_id, claim)
            # What lies at a link may change between two attempts of one job.
            if other.job_id != claim.job_id and self.jobs.is_unfinished(other.job_id):
                claim.require_same(other)
                return
            self._claims[claim.check_id] = claim
            if len(self._claims) > MAX_CLAIMS:
                self._claims.popitem(last=False)

    def get_check(self, check_id: str) -> Check:
        """A check by its id. Raises CheckNotFound."""
        return _found(self._database.rows(BY_ID, [check_id]), check_id)

    def list_checks(
        self,
        *,
        outcome: Outcome | None = None,
        reference_id: str = "",
        text: str = "",
        sha256: str = "",
        library: str = "",
        since: str = "",
        until: str = "",
        libraries: Sequence[str] = (),
        limit: int = 100,
        cursor: str = "",
    ) -> Page[Check]:
        """A page, newest first; `reference_id` selects checks by their best match.

        text: in the upload's name, ignoring case. sha256: of the upload, or its beginning. library:
        one of those searched. since, until: also the beginning of a time. libraries: only checks in
        these alone.

        Raises InvalidRequest for an invalid cursor.
        """
        given: dict[str, Value] = {
            "outcome = ?": outcome.value if outcome is not None else "",
            "top_reference_id = ?": reference_id,
            "strpos(searched, ?) > 0": text.lower(),
            **between(sha256.lower(), sha256.lower(), "query_sha256"),
            "(libraries = ARRAY[]::VARCHAR[] OR ? = ANY(libraries))": library,
            **between(since, until),
        }
        conditions = {**within(libraries), **{k: v for k, v in given.items() if v}}
        return CHECKS.newest(self._database, conditions, limit=limit, cursor=cursor)

    def backlog(self) -> Backlog:
        """The unfinished work."""
        return read_backlog(self._database)


def _open(place: Path | str, settings: LedgerSettings) -> Database:
    """Only what is used is loaded."""
    if str(place).startswith(POSTGRESQL):
        with needs_extra():
            from dubl.ledger.postgres import Postgres
        return Postgres(str(place), settings)
    from dubl.ledger.duckdb_file import DuckDbFile

    return DuckDbFile(Path(place))


def _found(rows: Sequence[Row], check_id: str) -> Check:
    if not rows:
        raise no_check(check_id)
    return CHECKS.object(rows[0])


def _reported(check: Check) -> dict[str, Value]:
    """Columns that repeat parts of the check, for filters and reports."""
    verdict = check.verdict
    return {
        "searched": check.query_name.lower(),
        "outcome": verdict.outcome.value,
        "probability": verdict.probability,
        "model_id": verdict.model_id,
        "policy_version": verdict.policy_version,
        "index_version": verdict.index_version,
        "top_reference_id": verdict.matches[0].reference_id if verdict.matches else "",
        "channel": verdict.context.channel,
    }
