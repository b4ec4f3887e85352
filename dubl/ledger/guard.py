"""The flood guard: a reference that suddenly matches far more than before is quarantined.

The rule: at least `flood.least` distinct uploads matched it within `flood.window_s`, and at least
`flood.factor` times as many as in the same time on average over the `flood.history_s` before. After
a release, the number at that time counts as usual, too. Uploads with the same segments and about
the same similarity count once, whatever their bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock

from dubl.errors import NotFound, StateConflict
from dubl.ledger.clock import utc_now
from dubl.ledger.database import Connection, Database, Value
from dubl.ledger.recent_matches import RecentMatches
from dubl.ledger.records import QUARANTINES, within
from dubl.settings import FloodSettings
from dubl.types import Check, Match, Outcome, Quarantine, QuarantineState

logger = logging.getLogger(__name__)

UPLOAD = "coalesce(nullif(m.alike, ''), c.query_sha256)"
UPLOADS = f"""
SELECT count(DISTINCT {UPLOAD}) FILTER (WHERE c.created_at >= $since),
    count(DISTINCT {UPLOAD}) FILTER (WHERE c.created_at < $since)
FROM matches m JOIN checks c ON c.id = m.check_id
WHERE m.reference_id = $reference AND m.outcome <> 'unique' AND NOT m.licensed
    AND c.created_at BETWEEN $before AND $until AND c.earlier_id = ''
"""
NEWEST = """
SELECT max(c.created_at) FROM matches m JOIN checks c ON c.id = m.check_id
WHERE m.reference_id = ? AND m.outcome <> 'unique' AND NOT m.licensed AND c.created_at <= ?
    AND c.earlier_id = ''
"""
RECENT = """
SELECT m.reference_id, c.created_at FROM matches m JOIN checks c ON c.id = m.check_id
WHERE m.outcome <> 'unique' AND NOT m.licensed AND c.created_at >= ? AND c.earlier_id = ''
ORDER BY c.created_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Distinct uploads that matched a reference: in the last window, and in a usual one."""

    uploads: int
    usual: float


class Guard:
    """Quarantines of one ledger. Methods raise StoreUnavailable like the ledger's own."""

    def __init__(self, database: Database, settings: FloodSettings) -> None:
        self._database = database
        self._settings = settings
        self._recent: RecentMatches | None = None  # read with the first verdict
        self._watching = Lock()

    def held(self) -> frozenset[str]:
        """Ids of references in quarantine, decided on or not."""
        return self._ids("state <> 'released'")

    def kept(self) -> frozenset[str]:
        """Ids of references that a person keeps in quarantine: their matches go to review.

        Until then a flood only warns. Otherwise many uploads of a copy would unblock it.
        """
        return self._ids("state = 'kept'")

    def _ids(self, where: str) -> frozenset[str]:
        statement = f"SELECT reference_id FROM quarantines WHERE {where}"
        return frozenset(str(row[0]) for row in self._database.rows(statement))

    def list(
        self, *, state: QuarantineState | None = None, libraries: Sequence[str] = ()
    ) -> tuple[Quarantine, ...]:
        """Quarantines, newest first; `libraries`: only of references in these."""
        conditions: dict[str, Value] = dict(within(libraries, "ARRAY[library]"))
        if state is not None:
            conditions["state = ?"] = state.value
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        statement = QUARANTINES.select(f"{where} ORDER BY created_at DESC")
        return QUARANTINES.objects(self._database.rows(statement, [*conditions.values()]))

    def decide(
        self,
        reference_id: str,
        *,
        state: QuarantineState,
        reviewer: str,
        note: str,
        libraries: Sequence[str] = (),
    ) -> Quarantine:
        """Releases a reference, of one of `libraries`, or keeps it in quarantine.

        Raises NotFound, and StateConflict if it was already released.
        """
        with self._database.transaction("decide on a quarantine") as connection:
            seen = within(libraries, "ARRAY[library]")
            wanted = " AND ".join(["reference_id = ?", *seen])
            row = connection.execute(
                f"SELECT state FROM quarantines WHERE {wanted}", [reference_id, *seen.values()]
            ).fetchone()
            if row is None:
                raise NotFound(
                    f"reference '{reference_id}' is not in quarantine",
                    context={"reference_id": reference_id},
                )
            if row[0] == QuarantineState.RELEASED:
                raise StateConflict(f"reference '{reference_id}' was already released")
            connection.execute(
                "UPDATE quarantines SET state = ?, reviewer = ?, note = ?, decided_at = ? "
                "WHERE reference_id = ?",
                [state.value, reviewer, note, utc_now(), reference_id],
            )
        return next(one for one in self.list() if one.reference_id == reference_id)

    def watch(self, connection: Connection, check: Check) -> tuple[Quarantine, ...]:
        """Quarantines flooded references of a verdict that this transaction has recorded.

        Returns the new quarantines. Matches found by a look-back in earlier uploads do not count as
        a flood.
        """
        with self._watching:
            return self._watch(connection, check)

    def _watch(self, connection: Connection, check: Check) -> tuple[Quarantine, ...]:
        settings = self._settings
        counted = {one.reference_id: one for one in check.verdict.matches if _counts(one)}
        if not settings.enabled or check.earlier_id or not counted:
            return ()
        now, recent = check.created_at, self._noted(connection, check, counted)
        suspects = [
            one for one in counted if recent.may_be_flooded(one, least=settings.least, now=now)
        ]
        if not suspects:
            return ()
        found = []
        for reference_id in suspects:
            traffic = looked_into(connection, reference_id, now, settings)
            usual, until = settings.factor * traffic.usual, _shifted(now, settings.window_s)
            recent.looked_at(reference_id, least=usual, until=until)
            if traffic.uploads < settings.least or traffic.uploads < usual:
                continue
            match = counted[reference_id]
            quarantine = Quarantine(
                reference_id=match.reference_id,
                library=match.library,
                state=QuarantineState.HELD,
                uploads=traffic.uploads,
                usual=traffic.usual,
                created_at=utc_now(),
            )
            if _hold(connection, quarantine, settings):
                found.append(quarantine)
        return tuple(found)

    def _noted(self, connection: Connection, check: Check, matched: Iterable[str]) -> RecentMatches:
        """The matches of the window, including those of this check."""
        since = _shifted(check.created_at, -self._settings.window_s)
        if self._recent is None:
            rows = connection.execute(RECENT, [since]).fetchall()
            self._recent = RecentMatches()  # not before they are read: none may be missed
            for reference_id, at in rows:
                self._recent.note([reference_id], at=at)
        else:
            self._recent.note(matched, at=check.created_at)
        self._recent.forget(before=since)
        return self._recent


def alert(quarantine: Quarantine) -> None:
    """Writes a warning to the log."""
    logger.warning(
        "reference %s is in quarantine: %d different uploads match it, usually %.1f; its matches "
        "count until a person keeps it there",
        quarantine.reference_id,
        quarantine.uploads,
        quarantine.usual,
    )


def _counts(match: Match) -> bool:
    return match.rights.counts and not match.rejected and match.outcome is not Outcome.UNIQUE


def looked_into(
    connection: Connection, reference_id: str, now: str, settings: FloodSettings
) -> Traffic:
    """The window with more uploads of two that contain a check accepted at `now`.

    One ends with the check. The other ends with the newest match that it can hold, as checks are
    answered in any order and sometimes hours late.
    """
    latest = _shifted(now, settings.window_s)
    (newest,) = connection.execute(NEWEST, [reference_id, latest]).fetchone() or (now,)
    ends = {now, max(now, newest or now)}
    found = [_traffic(connection, reference_id, until, settings) for until in ends]
    return max(found, key=lambda one: one.uploads)


def _traffic(
    connection: Connection, reference_id: str, until: str, settings: FloodSettings
) -> Traffic:
    values: dict[str, object] = {
        "reference": reference_id,
        "until": until,
        "since": _shifted(until, -settings.window_s),
        "before": _shifted(until, -settings.history_s),
    }
    windows = max(settings.history_s / settings.window_s - 1, 1.0)
    new, old = connection.execute(UPLOADS, values).fetchone() or (0, 0)
    return Traffic(uploads=new, usual=old / windows)


def _hold(connection: Connection, quarantine: Quarantine, settings: FloodSettings) -> bool:
    """Quarantines a reference; returns whether it is new.

    It is not new if it is in quarantine, or was released with about as many uploads.
    """
    row = connection.execute(
        "SELECT state, uploads FROM quarantines WHERE reference_id = ?", [quarantine.reference_id]
    ).fetchone()
    if row is not None and (
        row[0] != QuarantineState.RELEASED or quarantine.uploads < settings.factor * int(row[1])
    ):
        return False
    QUARANTINES.put(connection, quarantine, replace=True)
    return True


def _shifted(now: str, seconds: float) -> str:
    moment = datetime.fromisoformat(now).astimezone(UTC) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
