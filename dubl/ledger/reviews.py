"""Review decisions on matches: the queue, and decisions with their history.

A decision is an entry that stays; the latest one is valid. Matches covered by a reference's rights
are "licensed" from the start and need no decision. "rejected" holds for a pair of query bytes and
reference, so for all checks of these bytes. "licensed" holds for one check only: another uploader
of the same bytes may have no license. The state of each match is stored with it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pydantic import TypeAdapter

from dubl.errors import InvalidRequest, NotFound, StateConflict, no_check
from dubl.ledger.clock import utc_now
from dubl.ledger.database import LOCKED, Connection, Database, Value
from dubl.ledger.records import REVIEWS, Records, between, marks, within
from dubl.ledger.states import decided, with_states
from dubl.types import (
    Check,
    Decision,
    Facet,
    Judgement,
    Match,
    Page,
    PagePosition,
    QueueCounts,
    QueueFilter,
    QueueSort,
    RecordedReviews,
    Review,
    ReviewConflict,
    ReviewItem,
    ReviewState,
)

SEPARATOR = "\x1f"  # sorts before all that is in an id
QUEUE = f"""
SELECT m.check_id, m.reference_id, m.library, m.probability, m.similarity, c.query_name,
    m.state, m.reviewer, c.created_at, m.outcome, m.copied_s, m.modality, c.channel, c.searched,
    c.libraries, m.held,
    m.check_id || '{SEPARATOR}' || m.reference_id AS place
FROM matches m JOIN checks c ON c.id = m.check_id
"""
# Of the pair of bytes and reference, as a rejection holds for all checks of these bytes.
LAST_DECISION = """
SELECT r.reviewer, r.created_at FROM reviews r JOIN checks c ON c.id = r.check_id
WHERE c.query_sha256 = (SELECT query_sha256 FROM checks WHERE id = ?) AND r.reference_id = ?
    AND r.decision <> 'comment' ORDER BY r.created_at DESC LIMIT 1
"""
ITEMS = Records(ReviewItem, f"({QUEUE}) AS items", renamed={"limit": "held"}, absent=("until",))
# Of disputed matches, the end of their latest dispute.
DISPUTED = """
SELECT m.check_id, m.reference_id, (array_agg(r.until ORDER BY r.created_at DESC))[1] AS until
FROM matches m JOIN reviews r ON r.check_id = m.check_id AND r.reference_id = m.reference_id
WHERE m.state = 'disputed' AND r.decision = 'disputed'
GROUP BY m.check_id, m.reference_id
"""
COUNTS = TypeAdapter(list[tuple[str, str, int]])
# Which matches a person may have to look at, with the settings' review threshold for older ones.
LISTED = "CASE WHEN outcome = '' THEN probability >= ? ELSE outcome <> 'unique' END"
HOLDS_TEXT = "strpos(searched, ?) > 0 OR strpos(lower(reference_id), ?) > 0"
# What each order sorts by.
ORDERS = {
    QueueSort.NEWEST: "created_at DESC",
    QueueSort.OLDEST: "created_at ASC",
    QueueSort.DOUBTFUL: "abs(probability - 0.5) ASC",
    QueueSort.SECONDS: "copied_s DESC",
    QueueSort.PROBABILITY: "probability DESC",
    QueueSort.REFERENCE: "reference_id ASC",
    QueueSort.UPLOAD: "searched ASC",  # by name; matches of one check are together
}
NUMBERS = frozenset({QueueSort.DOUBTFUL, QueueSort.SECONDS, QueueSort.PROBABILITY})
MAX_COUNTED = 200  # values of a facet, the most frequent ones; chosen


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
        until: str = "",
    ) -> Review:
        """Adds an entry. `if_state`: the state that the reviewer has seen. `until`: of a dispute.

        Raises CheckNotFound, NotFound if the check has no such match, and StateConflict if its
        state is another one by now, or one in which the decision is not possible.
        """
        judgement = Judgement(
            check_id=check_id, reference_id=reference_id, decision=decision, if_state=if_state
        )
        done = self.record_all([judgement], reviewer=reviewer, note=note, until=until)
        for other in done.conflicts:
            known = if_state in (None, other.state)
            raise StateConflict(
                f"a match that is {other.state} cannot be {decision}."
                if known
                else f"the match is {other.state} by now, by {other.reviewer or 'somebody'}. Look "
                "at it again.",
                context={
                    "state": other.state.value,
                    "reviewer": other.reviewer,
                    "decided_at": other.decided_at,
                },
            )
        (entry,) = done.entries
        return entry

    def record_all(
        self,
        judgements: Sequence[Judgement],
        *,
        reviewer: str,
        note: str,
        until: str = "",
        dry_run: bool = False,
    ) -> RecordedReviews:
        """Adds entries in one transaction, but for those in conflict; with `dry_run` none.

        Raises CheckNotFound, NotFound if a check has no such match; then nothing is stored.
        """
        with self._database.transaction("record reviews") as connection:
            states = _states(connection, judgements)
            current = [states[one.check_id, one.reference_id] for one in judgements]
            told = list(zip(judgements, current, strict=True))
            free = [(one, now) for one, now in told if one.holds_in(now)]
            # The latest decision holds, however soon it follows another one.
            at = utc_now(timespec="microseconds")
            entries = tuple(
                _entry(one, reviewer=reviewer, note=note, at=at, until=until) for one, _ in free
            )
            if not dry_run:
                REVIEWS.put_all(connection, entries)
                _follow(connection, entries)
            return RecordedReviews(
                entries=entries,
                before=tuple(now for _, now in free),
                conflicts=tuple(
                    _conflict(connection, one, now) for one, now in told if not one.holds_in(now)
                ),
            )

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
        wanted: QueueFilter,
        *,
        sort: QueueSort = QueueSort.NEWEST,
        limit: int = 100,
        cursor: str = "",
    ) -> Page[ReviewItem]:
        """Matches in this order. Raises InvalidRequest for a cursor of another order."""
        conditions, values = _selected(wanted)
        if wanted.state is not None:
            conditions.append("state = ?")
            values.append(wanted.state.value)
        key, direction = ORDERS[sort].rsplit(" ", 1)
        if cursor:
            position = PagePosition.from_cursor(cursor)
            conditions.append(f"({key}, place) {'<' if direction == 'DESC' else '>'} (?, ?)")
            values += [_key(sort, position.created_at), position.id]
        rows = self._database.rows(
            f"SELECT {ITEMS.columns}, {key} FROM ({QUEUE}) AS items "
            f"WHERE {' AND '.join(conditions)} "
            f"ORDER BY {key} {direction}, place {direction} LIMIT ?",
            [*values, limit + 1],
        )
        found = self._with_ends(ITEMS.objects(row[:-1] for row in rows[:limit]))
        if len(rows) <= limit:
            return Page(items=found, next_cursor="")
        place = f"{found[-1].check_id}{SEPARATOR}{found[-1].reference_id}"
        after = PagePosition(created_at=str(rows[limit - 1][-1]), id=place)
        return Page(items=found, next_cursor=after.cursor)

    def counts(self, wanted: QueueFilter, *, facets: bool = False) -> QueueCounts:
        """Number of matches by state, whatever the filter's; and by `facets` in its state."""
        conditions, values = _selected(wanted)
        statement = (
            f"WITH items AS (SELECT * FROM ({QUEUE}) AS queue WHERE {' AND '.join(conditions)})"
            " SELECT 'state', state, count(*) FROM items GROUP BY state"
        )
        if facets:
            where = "" if wanted.state is None else f"WHERE state = '{wanted.state.value}'"
            for name in Facet:
                statement += (
                    f" UNION ALL (SELECT '{name}', {name}, count(*) FROM items {where}"
                    f" GROUP BY {name} ORDER BY count(*) DESC, {name} LIMIT {MAX_COUNTED})"
                )
        rows = COUNTS.validate_python(self._database.rows(statement, values))
        by_state = {name: count for kind, name, count in rows if kind == "state"}
        return QueueCounts(
            states={state: by_state.get(state, 0) for state in ReviewState},
            facets={
                facet: {name: count for kind, name, count in rows if kind == facet and name}
                for facet in (Facet if facets else ())
            },
        )

    def _with_ends(self, items: Sequence[ReviewItem]) -> tuple[ReviewItem, ...]:
        """The items with the ends of their disputes."""
        if not any(one.state is ReviewState.DISPUTED for one in items):
            return tuple(items)
        ids = list({one.check_id for one in items})
        rows = self._database.rows(
            f"SELECT * FROM ({DISPUTED}) AS disputed WHERE check_id IN ({marks(ids)})", ids
        )
        ends = {(str(row[0]), str(row[1])): str(row[2]) for row in rows}
        return tuple(
            replace(one, until=ends.get((one.check_id, one.reference_id), "")) for one in items
        )

    def release_unanswered(self) -> int:
        """Releases matches whose dispute nobody has answered in its time; returns their number."""
        rows = self._database.rows(
            f"SELECT check_id, reference_id, until FROM ({DISPUTED}) AS disputed "
            "WHERE until <> '' AND until < ?",
            [utc_now()],
        )
        released = 0
        for check_id, reference_id, until in rows:
            judgement = Judgement(
                check_id=str(check_id),
                reference_id=str(reference_id),
                decision=Decision.RELEASED,
                if_state=ReviewState.DISPUTED,
            )
            note = f"nobody answered the dispute by {until}"
            released += len(self.record_all([judgement], reviewer="", note=note).entries)
        return released

    def rejected_references(self, query_sha256: str) -> frozenset[str]:
        """Ids of references that, by reviewers, these bytes do not copy."""
        rows = self._database.rows(REJECTED, [query_sha256])
        return frozenset(str(row[0]) for row in rows)


REJECTED = f"""{decided("AND c.query_sha256 = ?")}
SELECT reference_id FROM settled WHERE decision = 'rejected'"""


def record_matches(connection: Connection, check: Check) -> None:
    """Stores the matches of a new verdict, for the queue and for reports."""
    if not check.verdict.matches:
        return
    found = connection.execute(REJECTED, [check.query_sha256]).fetchall()
    rejected = {str(row[0]) for row in found}
    rows = {
        match.reference_id: _row(check, match, rejected) for match in check.verdict.matches[::-1]
    }
    connection.executemany(
        f"INSERT INTO matches ({', '.join(MATCH_COLUMNS)}) VALUES ({marks(MATCH_COLUMNS)})",
        list(rows.values()),
    )


def restate(
    connection: Connection, reference_ids: Sequence[str], check_ids: Sequence[str] = ()
) -> None:
    """Sets the states of these references' matches: in all checks, or in those of the same bytes
    as these checks."""
    pairs = f"reference_id IN ({marks(reference_ids)})"
    values = [*reference_ids]
    if check_ids:
        pairs += (
            " AND c.query_sha256 IN "
            f"(SELECT query_sha256 FROM checks WHERE id IN ({marks(check_ids)}))"
        )
        values += check_ids
    statement = with_states(f"WHERE m.{pairs}", f"AND r.{pairs}")
    connection.execute(statement, [*values, *values])


MATCH_COLUMNS = (
    "check_id",
    "reference_id",
    "library",
    "probability",
    "similarity",
    "licensed",
    "outcome",
    "alike",
    "copied_s",
    "modality",
    "held",
    "state",
)


def _row(check: Check, match: Match, rejected: set[str]) -> list[Value]:
    licensed = not match.rights.counts
    state = ReviewState.LICENSED if licensed else ReviewState.OPEN
    return [
        check.id,
        match.reference_id,
        match.library,
        match.probability,
        match.similarity,
        licensed,
        match.outcome.value if match.outcome is not None else "",
        _alike(match),
        match.rights.copied_s,
        match.modality.value,
        match.limit.value if match.limit is not None else "",
        (ReviewState.REJECTED if match.reference_id in rejected else state).value,
    ]


def _alike(match: Match) -> str:
    """The same text for uploads of one copy, also if their bytes differ: its segments in whole
    seconds, and its similarity in percent. Empty without segments."""
    seconds = [
        f"{one.query_start_s:.0f}-{one.query_end_s:.0f}@{one.reference_start_s:.0f}"
        for one in match.segments
    ]
    return f"{match.similarity:.2f} {' '.join(sorted(seconds))}" if seconds else ""


def _selected(wanted: QueueFilter) -> tuple[list[str], list[Value]]:
    """Conditions for all but the state, with their values."""
    seen = within(wanted.libraries)
    conditions = [LISTED if wanted.by_policy else "probability >= ?", *seen]
    values: list[Value] = [wanted.min_probability, *seen.values()]
    outcome, modality = wanted.outcome, wanted.modality
    given: dict[str, Value] = {
        "check_id = ?": wanted.check_id,
        "reference_id = ?": wanted.reference_id,
        "library = ?": wanted.library,
        "outcome = ?": outcome.value if outcome is not None else "",
        "modality = ?": modality.value if modality is not None else "",
        "channel = ?": wanted.channel,
        "reviewer = ?": wanted.reviewer,
        **between(wanted.since, wanted.until),
        "probability <= ?": wanted.max_probability if wanted.max_probability < 1 else "",
    }
    conditions += [condition for condition, value in given.items() if value != ""]
    values += [value for value in given.values() if value != ""]
    if wanted.references is not None:
        conditions.append(_among(wanted.references))
        values += wanted.references
    if wanted.text:
        conditions.append(f"({HOLDS_TEXT} OR {_among(wanted.titled)})")
        values += [wanted.text.lower(), wanted.text.lower(), *wanted.titled]
    return conditions, values


def _among(reference_ids: Sequence[str]) -> str:
    return f"reference_id IN ({marks(reference_ids) or 'NULL'})"


def _key(sort: QueueSort, text: str) -> Value:
    """What a page ended with, in this order. Raises InvalidRequest."""
    try:
        return float(text) if sort in NUMBERS else text
    except ValueError as exc:
        raise InvalidRequest("the cursor is of another order. Begin at the first page.") from exc


def _states(
    connection: Connection, judgements: Iterable[Judgement]
) -> dict[tuple[str, str], ReviewState]:
    """The states of these matches, whose rows are locked. Raises CheckNotFound, NotFound."""
    pairs = list(dict.fromkeys((one.check_id, one.reference_id) for one in judgements))
    statement = (
        "SELECT check_id, reference_id, state FROM matches WHERE (check_id, reference_id) IN "
        f"({', '.join('(?, ?)' for _ in pairs)}) {LOCKED}"
    )
    rows = connection.execute(statement, [part for pair in pairs for part in pair]).fetchall()
    found = {(str(row[0]), str(row[1])): ReviewState(row[2]) for row in rows}
    for check_id, reference_id in pairs:
        if (check_id, reference_id) in found:
            continue
        if not connection.execute("SELECT 1 FROM checks WHERE id = ?", [check_id]).fetchall():
            raise no_check(check_id)
        raise NotFound(
            f"check '{check_id}' has no match with reference '{reference_id}'",
            context={"check_id": check_id, "reference_id": reference_id},
        )
    return found


def _entry(judgement: Judgement, *, reviewer: str, note: str, at: str, until: str) -> Review:
    return Review(
        id=str(uuid.uuid4()),
        check_id=judgement.check_id,
        reference_id=judgement.reference_id,
        decision=judgement.decision,
        reviewer=reviewer,
        note=note,
        created_at=at,
        until=until if judgement.decision is Decision.DISPUTED else "",
    )


def _follow(connection: Connection, entries: Sequence[Review]) -> None:
    """Sets the states that these entries change."""
    made = [one for one in entries if one.decision is not Decision.COMMENT]
    if made:
        restate(
            connection,
            list({one.reference_id for one in made}),
            list({one.check_id for one in made}),
        )


def _conflict(connection: Connection, one: Judgement, state: ReviewState) -> ReviewConflict:
    last = connection.execute(LAST_DECISION, [one.check_id, one.reference_id]).fetchone()
    reviewer, at = (str(last[0]), str(last[1])) if last is not None else ("", "")
    return ReviewConflict(
        check_id=one.check_id,
        reference_id=one.reference_id,
        state=state,
        reviewer=reviewer,
        decided_at=at,
    )
