"""Review decisions on matches: the queue, and decisions with their history.

A decision is an entry that stays; the latest one is valid. Matches covered by a reference's rights
are "licensed" from the start and need no decision. "rejected" holds for a pair of query bytes and
reference, so for all checks of these bytes. "licensed" holds for one check only: another uploader
of the same bytes may have no license.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from pydantic import TypeAdapter

from dubl.errors import NotFound, StateConflict, no_check
from dubl.ledger.clock import utc_now
from dubl.ledger.database import LOCKED, Connection, Database, Value
from dubl.ledger.records import REVIEWS, Records, within
from dubl.types import (
    Check,
    Decision,
    Match,
    Outcome,
    Page,
    PagePosition,
    Review,
    ReviewItem,
    ReviewState,
)

# `decided`: the latest decision of each match; `settled`: that of each pair of bytes and reference,
# unless the reference was deleted since: then its id may be that of another video.
DECIDED = """
WITH decisions AS (
    SELECT r.*, c.query_sha256, c.created_at AS checked_at
    FROM reviews r JOIN checks c ON c.id = r.check_id
    WHERE r.decision <> 'comment'
), decided AS (
    SELECT check_id, reference_id, (array_agg(decision ORDER BY created_at DESC))[1] AS decision,
        (array_agg(reviewer ORDER BY created_at DESC))[1] AS reviewer
    FROM decisions GROUP BY check_id, reference_id
), settled AS (
    SELECT query_sha256, reference_id, (array_agg(decision ORDER BY created_at DESC))[1] AS decision
    FROM decisions LEFT JOIN deleted_references USING (reference_id)
    WHERE deleted_at IS NULL OR checked_at > deleted_at
    GROUP BY query_sha256, reference_id
)
"""
SEPARATOR = "\x1f"  # sorts before all that is in an id
STATE = """CASE
    WHEN s.decision = 'rejected' THEN 'rejected'
    WHEN d.decision IN ('confirmed', 'rejected', 'licensed') THEN d.decision
    WHEN m.licensed THEN 'licensed'
    ELSE 'open' END"""
QUEUE = f"""{DECIDED}
SELECT m.check_id, m.reference_id, m.library, m.probability, m.similarity, c.query_name,
    {STATE} AS state, coalesce(d.reviewer, '') AS reviewer, c.created_at,
    m.check_id || '{SEPARATOR}' || m.reference_id AS place, m.outcome, c.libraries
FROM matches m JOIN checks c ON c.id = m.check_id
LEFT JOIN decided d ON d.check_id = m.check_id AND d.reference_id = m.reference_id
LEFT JOIN settled s ON s.query_sha256 = c.query_sha256 AND s.reference_id = m.reference_id
"""
# Of the pair of bytes and reference, as a rejection holds for all checks of these bytes.
LAST_DECISION = """
SELECT r.reviewer, r.created_at FROM reviews r JOIN checks c ON c.id = r.check_id
WHERE c.query_sha256 = (SELECT query_sha256 FROM checks WHERE id = ?) AND r.reference_id = ?
    AND r.decision <> 'comment' ORDER BY r.created_at DESC LIMIT 1
"""
ITEMS = Records(ReviewItem, f"({QUEUE}) AS items")
COUNTS = TypeAdapter(list[tuple[ReviewState, int]])
# Which matches a person may have to look at, with the settings' review threshold for older ones.
LISTED = "CASE WHEN outcome = '' THEN probability >= ? ELSE outcome <> 'unique' END"


class Reviews:
    """Reviews of one ledger. Methods raise StoreUnavailable like the ledger's own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self,
        check_id: str,
        reference_id: str,
        *,
        decision: Decision,
        reviewer: str,
        note: str,
        if_state: ReviewState | None = None,
    ) -> Review:
        """Adds an entry. `if_state`: the state that the reviewer has seen.

        Raises CheckNotFound, NotFound if the check has no such match, and StateConflict if its
        state is another one by now.
        """
        with self._database.transaction("record a review") as connection:
            _require_match(connection, check_id, reference_id)
            if if_state is not None:
                _require_state(connection, check_id, reference_id, if_state)
            review = Review(
                id=str(uuid.uuid4()),
                check_id=check_id,
                reference_id=reference_id,
                decision=decision,
                reviewer=reviewer,
                note=note,
                # The latest decision holds, however soon it follows another one.
                created_at=utc_now(timespec="microseconds"),
            )
            REVIEWS.put(connection, review)
        return review

    def list(
        self, *, check_id: str = "", reference_id: str = "", limit: int = 100, cursor: str = ""
    ) -> Page[Review]:
        """Entries, newest first. Raises InvalidRequest for an invalid cursor."""
        wanted = {"check_id": check_id, "reference_id": reference_id}
        conditions: dict[str, Value] = {
            f"{name} = ?": value for name, value in wanted.items() if value
        }
        return REVIEWS.newest(self._database, conditions, limit=limit, cursor=cursor)

    def queue(
        self,
        *,
        state: ReviewState | None = ReviewState.OPEN,
        least_probability: float = 0.0,
        by_policy: bool = False,
        check_id: str = "",
        reference_id: str = "",
        library: str = "",
        outcome: Outcome | None = None,
        text: str = "",
        libraries: Sequence[str] = (),
        limit: int = 100,
        cursor: str = "",
    ) -> Page[ReviewItem]:
        """Matches of the newest checks first, in one state, or in all if it is None.

        `library`: that of the reference. `outcome`: of the match. `text`: in the upload's name or
        the reference's id, ignoring case. `libraries`: only of checks in these alone.

        They reach `least_probability`, or with `by_policy` the review threshold of their own
        library. Raises InvalidRequest for an invalid cursor.
        """
        seen = within(libraries)
        conditions = [LISTED if by_policy else "probability >= ?", *seen]
        values: list[Value] = [least_probability, *seen.values()]
        wanted = {
            "check_id = ?": check_id,
            "reference_id = ?": reference_id,
            "library = ?": library,
            "outcome = ?": outcome.value if outcome is not None else "",
            "strpos(lower(query_name || ' ' || reference_id), ?) > 0": text.lower(),
        }
        conditions += [condition for condition, value in wanted.items() if value]
        values += [value for value in wanted.values() if value]
        if state is not None:
            conditions.append("state = ?")
            values.append(state.value)
        if cursor:
            position = PagePosition.from_cursor(cursor)
            conditions.append("(created_at, place) < (?, ?)")
            values += [position.created_at, position.id]
        statement = ITEMS.select(
            f"WHERE {' AND '.join(conditions)} ORDER BY created_at DESC, place DESC LIMIT ?"
        )
        found = ITEMS.objects(self._database.rows(statement, [*values, limit + 1]))
        if len(found) <= limit:
            return Page(items=found, next_cursor="")
        last = found[limit - 1]
        place = f"{last.check_id}{SEPARATOR}{last.reference_id}"
        after = PagePosition(created_at=last.created_at, id=place)
        return Page(items=found[:limit], next_cursor=after.cursor)

    def counts(
        self, *, least_probability: float = 0.0, libraries: Sequence[str] = ()
    ) -> dict[ReviewState, int]:
        """Number of matches by state, selected as with `by_policy`; all states are included."""
        seen = within(libraries)
        where = " AND ".join([LISTED, *seen])
        statement = f"SELECT state, count(*) FROM ({QUEUE}) AS items WHERE {where} GROUP BY state"
        rows = self._database.rows(statement, [least_probability, *seen.values()])
        found = dict(COUNTS.validate_python(rows))
        return {state: found.get(state, 0) for state in ReviewState}

    def rejected_references(self, query_sha256: str) -> frozenset[str]:
        """Ids of references that, by reviewers, these bytes do not copy."""
        statement = f"""{DECIDED}
            SELECT reference_id FROM settled WHERE query_sha256 = ? AND decision = 'rejected'"""
        return frozenset(str(row[0]) for row in self._database.rows(statement, [query_sha256]))


def record_matches(connection: Connection, check: Check) -> None:
    """Stores the matches of a new verdict, for the queue and for reports."""
    rows = {
        match.reference_id: [
            check.id,
            match.reference_id,
            match.library,
            match.probability,
            match.similarity,
            not match.rights.counts,
            match.outcome.value if match.outcome is not None else "",
            _alike(match),
        ]
        for match in reversed(check.verdict.matches)
    }
    columns = "check_id, reference_id, library, probability, similarity, licensed, outcome, alike"
    if rows:
        connection.executemany(
            f"INSERT INTO matches ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", list(rows.values())
        )


def _alike(match: Match) -> str:
    """The same text for uploads of one copy, also if their bytes differ: its segments in whole
    seconds, and its similarity in percent. Empty without segments."""
    seconds = [
        f"{one.query_start_s:.0f}-{one.query_end_s:.0f}@{one.reference_start_s:.0f}"
        for one in match.segments
    ]
    return f"{match.similarity:.2f} {' '.join(sorted(seconds))}" if seconds else ""


def _require_state(
    connection: Connection, check_id: str, reference_id: str, seen: ReviewState
) -> None:
    match = [check_id, reference_id]
    row = connection.execute(
        f"SELECT state FROM ({QUEUE}) AS items WHERE check_id = ? AND reference_id = ?", match
    ).fetchone()
    state = ReviewState(row[0]) if row is not None else ReviewState.OPEN
    if state is seen:
        return
    last = connection.execute(LAST_DECISION, match).fetchone()
    reviewer, at = (str(last[0]), str(last[1])) if last is not None else ("", "")
    raise StateConflict(
        f"the match is {state} by now, by {reviewer or 'somebody'}. Look at it again.",
        context={"state": state.value, "reviewer": reviewer, "decided_at": at},
    )


def _require_match(connection: Connection, check_id: str, reference_id: str) -> None:
    statement = f"SELECT 1 FROM matches WHERE check_id = ? AND reference_id = ? {LOCKED}"
    if not connection.execute(statement, [check_id, reference_id]).fetchall():
        if not connection.execute("SELECT 1 FROM checks WHERE id = ?", [check_id]).fetchall():
            raise no_check(check_id)
        raise NotFound(
            f"check '{check_id}' has no match with reference '{reference_id}'",
            context={"check_id": check_id, "reference_id": reference_id},
        )
