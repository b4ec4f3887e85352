"""The answering feature space, and the comparison with the other one."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter

from dubl.errors import StateConflict
from dubl.ledger.clock import utc_now
from dubl.ledger.database import Connection, Database, Row
from dubl.ledger.records import SHADOWS, SWITCHES
from dubl.types import Comparison, Outcome, Shadow, SpaceSwitch

# Space, what answered, what the other said, how many checks, how many of them agree.
COMPARED = TypeAdapter(list[tuple[str, Outcome, Outcome, int, int]])

CURRENT = "SELECT space_id FROM spaces ORDER BY number DESC LIMIT 1"


class Spaces:
    """Spaces of one ledger. Methods raise StoreUnavailable like the ledger's own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self) -> str:
        """Id of the answering space; empty if none was ever chosen: then that of model.weights."""
        return _of(self._database.rows(CURRENT))

    def history(self) -> tuple[SpaceSwitch, ...]:
        """All switches, newest first."""
        return SWITCHES.objects(self._database.rows(SWITCHES.select("ORDER BY number DESC")))

    def switch(self, space_id: str, *, previous_id: str, by: str, note: str) -> SpaceSwitch:
        """Makes a space answer from now on; `previous_id` is the space that answered before.

        Raises StateConflict if another space than `previous_id` answers, or if this one already
        does.
        """
        current = self.current()
        if current not in ("", previous_id) or space_id == previous_id:
            raise StateConflict(f"feature space '{current or previous_id}' already answers")
        return self._append(space_id, previous_id, by=by, note=note, rollback=False)

    def rollback(self, *, by: str, note: str) -> SpaceSwitch:
        """Switches back to the space before the last switch.

        Raises StateConflict if there is none, or if it was already rolled back.
        """
        history = self.history()
        if not history or history[0].rollback:
            raise StateConflict("there is no earlier switch to roll back")
        last = history[0]
        return self._append(last.previous_id, last.space_id, by=by, note=note, rollback=True)

    def record_shadow(self, shadow: Shadow) -> None:
        """Stores a shadow; the first one of a check stays."""
        with self._database.transaction("record a shadow") as connection:
            SHADOWS.add(connection, shadow)

    def comparisons(self, *, since: str = "") -> dict[str, Comparison]:
        """Summaries of shadows since a time, by the space that did not answer."""
        statement = """
            SELECT s.space_id, c.outcome, s.outcome, count(*), count(*) FILTER (WHERE s.agrees)
            FROM shadows s JOIN checks c ON c.id = s.check_id
            WHERE s.created_at >= ? GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        """
        found: dict[str, Comparison] = {}
        rows = COMPARED.validate_python(self._database.rows(statement, [since]))
        for space_id, answered, shadow, count, agreed in rows:
            before = found.get(space_id, Comparison())
            differing = {} if answered is shadow else {(answered, shadow): count}
            found[space_id] = Comparison(
                count=before.count + count,
                agreed=before.agreed + agreed,
                differing={**before.differing, **differing},
            )
        return found

    def _append(
        self, space_id: str, previous_id: str, *, by: str, note: str, rollback: bool
    ) -> SpaceSwitch:
        with self._database.transaction("switch the feature space") as connection:
            row = connection.execute("SELECT coalesce(max(number), 0) FROM spaces").fetchone()
            switch = SpaceSwitch(
                number=int(row[0]) + 1 if row is not None else 1,
                space_id=space_id,
                previous_id=previous_id,
                created_at=utc_now(),
                by=by,
                note=note,
                rollback=rollback,
            )
            SWITCHES.put(connection, switch)
        return switch


def current_space(connection: Connection) -> str:
    """The answering space in a transaction, as of `Spaces.current`."""
    return _of(connection.execute(CURRENT).fetchall())


def _of(rows: Sequence[Row]) -> str:
    return str(rows[0][0]) if rows else ""
