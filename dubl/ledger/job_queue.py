"""Jobs, and the leases of their workers.

A job is handed out under a lease: a number and a time. A worker that does not renew its lease in
time loses the job to the next one and cannot end it any more. So each job ends exactly once, even
if processes are killed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from pydantic import TypeAdapter

from dubl.contract.shares import keys_at_their_share, require_share
from dubl.errors import Overloaded, RateLimited, ServiceInterrupted, StateConflict, no_job
from dubl.ledger.api_keys import take_jobs
from dubl.ledger.clock import seconds_left_of_day, utc_now
from dubl.ledger.database import LOCKED, UNLOCKED_ONES, Connection, Database, Value
from dubl.ledger.endings import UNFINISHED, end_batch, end_job, hold
from dubl.ledger.records import JOBS, within
from dubl.ledger.spaces import current_space
from dubl.types import NO_PROGRESS, Job, JobKind, JobRank, JobState, Lease, Page, Progress

COUNTS = TypeAdapter(list[tuple[JobState, int]])
DUE = f"{UNFINISHED} AND due_at <> '' AND due_at < ?"
# Every so many jobs handed out, the oldest goes first whatever its rank: no job waits for ever.
FAIR_SHARE = 4
# Those of a job, in its order.
LIBRARIES = (
    "CASE kind WHEN 'reference' THEN ARRAY[request::JSON->'draft'->>'library'] "
    "ELSE CAST(request::JSON->'libraries' AS VARCHAR[]) END"
)
NEVER = "9999"  # later than any time
NOTHING_AT_WORK: Mapping[str, int] = MappingProxyType({})


class JobQueue:
    """The jobs of a ledger. Methods raise StoreUnavailable if the file cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._progress: dict[str, Progress] = {}
        self._handed_out = 0

    def create(
        self,
        job: Job,
        *,
        tries: int,
        lease_s: float = 0.0,
        due_in_s: float = 0.0,
        max_unfinished: int | None = None,
        key_share: float = 1.0,
        further_jobs: int = 0,
        jobs_per_day: int = 0,
    ) -> Job:
        """Records an accepted job; an existing id stays unchanged.

        With `lease_s` the job is handed out to the caller at once; else not before `due_in_s`.
        `further_jobs`: children that count against the key's jobs of the day, beside this one;
        `jobs_per_day`: the limit of keys without their own. Raises Overloaded if there are
        `max_unfinished` unfinished jobs, not counting children; RateLimited if the key has its
        share of them, or not so many jobs left today.
        """
        with self._database.transaction("record a job") as connection:
            if max_unfinished is not None:
                _require_room(connection, job.key_id, max_unfinished, key_share)
            taken = take_jobs(connection, job.key_id, further_jobs, usual_limit=jobs_per_day)
            if taken < further_jobs:
                raise RateLimited(
                    f"the batch has {further_jobs - taken} videos more than the key has left today",
                    context={"retry_after_s": seconds_left_of_day()},
                )
            _insert_job(connection, job, tries, due_in_s=due_in_s)
            return _hand_out(connection, job.id, lease_s) if lease_s else job

    def claim(
        self,
        *,
        limit: int,
        lease_s: float,
        older_than_s: float = 0.0,
        at_work: Mapping[str, int] = NOTHING_AT_WORK,
        key_share: float = 1.0,
    ) -> tuple[Job, ...]:
        """Hands out waiting jobs, and jobs whose lease expired at least `older_than_s` ago.

        `at_work`: the number of jobs that the caller runs already, by their key. No key gets more
        than its share of these places and the `limit` free ones.
        """
        claimed: list[Job] = []
        held = Counter(at_work)
        places = held.total() + limit
        while len(claimed) < limit:
            full = keys_at_their_share(held, places=places, share=key_share)
            job = self._claim_next(lease_s, older_than_s, full)
            if job is None:
                break
            claimed.append(job)
            held[job.key_id] += 1
        return tuple(claimed)

    def claim_one(
        self, job_id: str, *, lease_s: float, full_keys: Sequence[str] = ()
    ) -> Job | None:
        """Hands out this job; None if it has ended, is leased, is not due yet, or is of one of
        these keys."""
        with self._database.transaction("hand out a job") as connection:
            statement = (
                f"SELECT id FROM jobs WHERE id = ? AND {DUE} "
                f"AND NOT key_id = ANY(?::VARCHAR[]) {LOCKED}"
            )
            found = connection.execute(statement, [job_id, utc_now(), list(full_keys)]).fetchone()
            return _hand_out(connection, job_id, lease_s) if found else None

    def renew(self, progress: Mapping[Lease, Progress], *, lease_s: float) -> frozenset[str]:
        """Extends leases by `lease_s` and stores the progress; returns the ids of lost jobs.

        Work on lost jobs may stop. A batch that waits for its children needs no lease.
        """
        lost: set[str] = set()
        with self._database.transaction("renew leases") as connection:
            for lease, reached in progress.items():
                statement = (
                    "UPDATE jobs SET due_at = CASE WHEN due_at = '' THEN '' ELSE ? END "
                    "WHERE id = ? AND attempts = ? AND state = 'running' RETURNING due_at"
                )
                values: list[Value] = [utc_now(plus_s=lease_s), lease.job_id, lease.attempt]
                row = connection.execute(statement, values).fetchone()
                if row is None:
                    lost.add(lease.job_id)
                elif row[0]:
                    self._progress[lease.job_id] = reached
        return frozenset(lost)

    def report(self, progress: Mapping[Lease, Progress]) -> None:
        """Stores the progress of running jobs, in memory only. Finished jobs are ignored."""
        statement = (
            "SELECT id FROM jobs WHERE state = 'running' AND due_at <> '' "
            "AND id = ANY(?::VARCHAR[])"
        )
        rows = self._database.rows(statement, [[lease.job_id for lease in progress]])
        running = {str(row[0]) for row in rows}
        for lease, reached in progress.items():
            if lease.job_id in running:
                self._progress[lease.job_id] = reached

    def forget(self, job_id: str) -> None:
        """Drops the progress of a finished job."""
        self._progress.pop(job_id, None)

    def finish(self, lease: Lease, *, result_id: str, created: bool) -> None:
        """Ends the job with its result. Raises LeaseLost, JobNotFound."""
        with self._database.transaction("finish a job") as connection:
            if hold(connection, lease):
                end_job(
                    connection, lease.job_id, JobState.DONE, result_id=result_id, created=created
                )
        self.forget(lease.job_id)

    def fail(self, lease: Lease, *, code: str, detail: str, result_id: str = "") -> None:
        """Ends the job with an error, and with the reference that is there instead.

        Raises LeaseLost, JobNotFound.
        """
        with self._database.transaction("fail a job") as connection:
            if hold(connection, lease):
                end_job(
                    connection,
                    lease.job_id,
                    JobState.FAILED,
                    result_id=result_id,
                    code=code,
                    detail=detail,
                )
        self.forget(lease.job_id)

    def retry(
        self, lease: Lease, *, code: str, detail: str, delay_s: float, free_since: str = NEVER
    ) -> Job:
        """Queues the job again after `delay_s`; after its last attempt it is dead.

        This attempt does not count if the job was accepted after `free_since`. Returns the updated
        job. Raises LeaseLost, JobNotFound.
        """
        with self._database.transaction("queue a job again") as connection:
            if hold(connection, lease):
                statement = (
                    "UPDATE jobs SET state = 'queued', due_at = ?, error_code = ?, "
                    "error_detail = ?, tries_left = tries_left + (created_at > ?)::INTEGER "
                    "WHERE id = ? AND (tries_left > 0 OR created_at > ?) RETURNING id"
                )
                due_at = utc_now(plus_s=delay_s)
                values: list[Value] = [due_at, code, detail, free_since, lease.job_id, free_since]
                if not connection.execute(statement, values).fetchone():
                    _bury(connection, lease.job_id, code, detail)
        self.forget(lease.job_id)
        return self.get(lease.job_id)

    def expand(
        self,
        lease: Lease,
        children: Sequence[Job],
        *,
        tries: int,
        further_jobs: int = 0,
        jobs_per_day: int = 0,
    ) -> tuple[Job, ...]:
        """Replaces a batch by its children; it ends when they have ended.

        `further_jobs`, `jobs_per_day`: as of `create`. Returns the last children, which fail as
        they are more than the key has left today. Raises LeaseLost, JobNotFound.
        """
        refused: tuple[Job, ...] = ()
        with self._database.transaction("expand a batch") as connection:
            if hold(connection, lease) and not _is_expanded(connection, lease.job_id):
                key_id = children[0].key_id if children else ""
                taken = take_jobs(connection, key_id, further_jobs, usual_limit=jobs_per_day)
                allowed = len(children) - (further_jobs - taken)
                refused = tuple(map(_over_the_day, children[allowed:]))
                for child in (*children[:allowed], *refused):
                    _insert_job(connection, child, tries)
                waiting = "UPDATE jobs SET due_at = '' WHERE id = ?"
                connection.execute(waiting, [lease.job_id])
                end_batch(connection, lease.job_id)
        self.forget(lease.job_id)
        return refused

    def cancel(self, job_id: str) -> tuple[Job, ...]:
        """Cancels a job and its children; returns the cancelled jobs.

        Raises StateConflict if it has already ended, JobNotFound.
        """
        with self._database.transaction("cancel a job") as connection:
            statement = JOBS.select(
                f"WHERE (id = ? OR parent_id = ?) AND {UNFINISHED} ORDER BY parent_id DESC, id "
                f"{LOCKED}"
            )
            # Children are locked first, as they end first. Then none can be added: looked up again.
            for _ in range(2):
                found = connection.execute(statement, [job_id, job_id]).fetchall()
            # The batch ends before its children, which would end it.
            jobs = JOBS.objects(reversed(found))
            if job_id not in {job.id for job in jobs}:
                self._require_conflict(connection, job_id)
            for job in jobs:
                end_job(connection, job.id, JobState.CANCELLED)
                self.forget(job.id)
        return tuple(replace(job, state=JobState.CANCELLED) for job in jobs)

    def requeue(self, job_id: str, *, tries: int) -> Job:
        """Queues a dead job again. Raises StateConflict if it is not dead, JobNotFound."""
        with self._database.transaction("queue a dead job again") as connection:
            statement = (
                "UPDATE jobs SET state = 'queued', dead = false, tries_left = ?, due_at = ' ', "
                "finished_at = '', error_code = '', error_detail = '' "
                "WHERE id = ? AND dead RETURNING id"
            )
            if not connection.execute(statement, [tries, job_id]).fetchone():
                if connection.execute("SELECT 1 FROM jobs WHERE id = ?", [job_id]).fetchone():
                    raise StateConflict("only a dead job can be queued again")
                raise no_job(job_id)
        return self.get(job_id)

    def get(self, job_id: str) -> Job:
        """A job by its id. Raises JobNotFound."""
        job = self._one("id = ?", job_id)
        if job is None:
            raise no_job(job_id)
        return job

    def is_unfinished(self, job_id: str) -> bool:
        """Whether the job exists and has not ended."""
        statement = f"SELECT 1 FROM jobs WHERE id = ? AND {UNFINISHED}"
        return bool(self._database.rows(statement, [job_id]))

    def find(self, subject_id: str, *, kind: JobKind) -> Job | None:
        """The latest job for a check or reference."""
        return self._one("subject_id = ? AND kind = ?", subject_id, kind.value)

    def list(
        self,
        *,
        state: JobState | None = None,
        parent_id: str = "",
        dead: bool | None = None,
        libraries: Sequence[str] = (),
        limit: int = 100,
        cursor: str = "",
    ) -> Page[Job]:
        """A page, newest first; `libraries`: only jobs about these alone.

        Raises InvalidRequest for an invalid cursor.
        """
        conditions = dict(within(libraries, LIBRARIES))
        if state is not None:
            conditions["state = ?"] = state.value
        if parent_id:
            conditions["parent_id = ?"] = parent_id
        if dead is not None:
            conditions["dead = ?"] = dead
        found = JOBS.newest(self._database, conditions, limit=limit, cursor=cursor)
        return replace(found, items=tuple(self._seen(job) for job in found.items))

    def with_input(self, *, dead_since: str) -> tuple[Job, ...]:
        """Jobs whose input is still needed: unfinished ones, and those that died after a time."""
        return self._where(f"{UNFINISHED} OR (dead AND finished_at > ?)", dead_since)

    def count_children(self, job_id: str) -> dict[JobState, int]:
        """Number of a batch's children by state, with all states."""
        statement = "SELECT state, count(*) FROM jobs WHERE parent_id = ? GROUP BY state"
        counted = dict(COUNTS.validate_python(self._database.rows(statement, [job_id])))
        return {state: counted.get(state, 0) for state in JobState}

    def _claim_next(self, lease_s: float, older_than_s: float, full: Sequence[str]) -> Job | None:
        with self._database.transaction("hand out a job") as connection:
            self._handed_out += 1
            order = "created_at" if self._handed_out % FAIR_SHARE == 0 else "rank, created_at"
            statement = (
                f"SELECT id, state, tries_left FROM jobs WHERE {DUE} AND created_at < ? "
                "AND NOT key_id = ANY(?::VARCHAR[]) "
                f"ORDER BY {order}, id LIMIT 1 {UNLOCKED_ONES}"
            )
            overdue = utc_now(plus_s=-older_than_s)
            # Clocks of other machines count only where minutes matter.
            accepted_before = overdue if older_than_s else "9999"
            rows = connection.execute(statement, [overdue, accepted_before, list(full)]).fetchall()
            if not rows:
                return None
            job_id, state, tries_left = rows[0]
            if tries_left > 0:
                return _hand_out(connection, job_id, lease_s)
            lost = ServiceInterrupted("what did the work was lost each time")
            assert state == JobState.RUNNING, "a queued job has a try left"
            _bury(connection, job_id, lost.code, lost.detail)
        self.forget(job_id)
        return self._claim_next(lease_s, older_than_s, full)

    def _one(self, condition: str, *values: Value) -> Job | None:
        statement = JOBS.select(f"WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT 1")
        rows = self._database.rows(statement, values)
        return self._seen(JOBS.object(rows[0])) if rows else None

    def _where(self, condition: str, *values: Value) -> tuple[Job, ...]:
        statement = JOBS.select(f"WHERE {condition} ORDER BY created_at, id")
        return tuple(map(self._seen, JOBS.objects(self._database.rows(statement, values))))

    def _seen(self, job: Job) -> Job:
        return replace(job, progress=self._progress.get(job.id, NO_PROGRESS))

    def _require_conflict(self, connection: Connection, job_id: str) -> None:
        row = connection.execute("SELECT state FROM jobs WHERE id = ?", [job_id]).fetchone()
        if row is None:
            raise no_job(job_id)
        raise StateConflict(f"the job is {row[0]} already", context={"job_id": job_id})


def _hand_out(connection: Connection, job_id: str, lease_s: float) -> Job:
    """Hands out a job. The current answering space is fixed for this attempt."""
    row = connection.execute(
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, "
        f"tries_left = tries_left - 1, due_at = ? WHERE id = ? RETURNING {JOBS.columns}",
        [utc_now(plus_s=lease_s), job_id],
    ).fetchone()
    assert row is not None, "the job was read in this transaction"
    return replace(JOBS.object(row), space_id=current_space(connection))


def _insert_job(connection: Connection, job: Job, tries: int, *, due_in_s: float = 0.0) -> None:
    due_at = utc_now(plus_s=due_in_s) if due_in_s else " "
    JOBS.add(connection, job, extra={"tries_left": tries, "due_at": due_at})


def _bury(connection: Connection, job_id: str, code: str, detail: str) -> None:
    end_job(connection, job_id, JobState.FAILED, code=code, detail=detail, dead=True)


def _is_expanded(connection: Connection, job_id: str) -> bool:
    row = connection.execute("SELECT due_at FROM jobs WHERE id = ?", [job_id]).fetchone()
    return bool(row == ("",))


def _over_the_day(child: Job) -> Job:
    if child.state.ended:
        return child
    return replace(
        child,
        state=JobState.FAILED,
        finished_at=utc_now(),
        error_code=RateLimited.code,
        error_detail="the key has reached its limit of jobs for the day",
    )


def _require_room(connection: Connection, key_id: str, max_unfinished: int, share: float) -> None:
    statement = (
        "SELECT count(*), count(*) FILTER (WHERE key_id = ?) FROM jobs "
        f"WHERE {UNFINISHED} AND rank <> ?"
    )
    values: list[Value] = [key_id, int(JobRank.CHILD)]
    count, own = connection.execute(statement, values).fetchone() or (0, 0)
    if count >= max_unfinished:
        raise Overloaded(f"{count} jobs are waiting already", context={"unfinished": count})
    require_share(key_id, own, others=count - own, places=max_unfinished, share=share, of="jobs")
