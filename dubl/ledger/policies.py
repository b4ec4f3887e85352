"""Thresholds of libraries, as people's decisions have calibrated them, with their history."""

from __future__ import annotations

from dubl.ledger.database import Database, Row, Value
from dubl.ledger.reviews import DECIDED
from dubl.ledger.statements import utc_now
from dubl.types import JudgedMatch, LibraryPolicy

COLUMNS = (
    "library",
    "number",
    "duplicate_probability",
    "review_probability",
    "decisions",
    "created_at",
)


class Policies:
    """Of one ledger. Every method raises StoreUnavailable as the ledger's own do."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def judged(self, library: str) -> tuple[JudgedMatch, ...]:
        """Matches with references of a library on which people have decided; the same bytes and
        reference once, by the latest decision."""
        statement = f"""{DECIDED}
            SELECT arg_max(m.probability, d.created_at), arg_max(d.decision, d.created_at)
            FROM decisions d JOIN matches m
                ON m.check_id = d.check_id AND m.reference_id = d.reference_id
            WHERE m.library = ? GROUP BY d.query_sha256, d.reference_id
        """
        rows = self._database.rows(statement, [library])
        return tuple(
            JudgedMatch(probability=float(str(probability)), copied=decision != "rejected")
            for probability, decision in rows
            if decision != "reopened"
        )

    def adopt(
        self, library: str, *, duplicate: float, review: float, decisions: int
    ) -> LibraryPolicy:
        """Makes these the library's thresholds from now on."""
        with self._database.transaction("adopt thresholds") as connection:
            row = connection.execute(
                "SELECT coalesce(max(number), 0) FROM library_policies WHERE library = ?", [library]
            ).fetchone()
            number = int(row[0]) + 1 if row is not None else 1
            values: list[Value] = [library, number, duplicate, review, decisions, utc_now()]
            marks = ", ".join("?" for _ in COLUMNS)
            connection.execute(
                f"INSERT INTO library_policies ({', '.join(COLUMNS)}) VALUES ({marks})", values
            )
        return self.current()[library]

    def withdraw(self, library: str) -> None:
        """Gives a library the settings' thresholds again; numbers are not used twice."""
        with self._database.transaction("withdraw thresholds") as connection:
            connection.execute(
                "UPDATE library_policies SET withdrawn_at = ? "
                "WHERE library = ? AND withdrawn_at = ''",
                [utc_now(), library],
            )

    def current(self) -> dict[str, LibraryPolicy]:
        """The latest of each library that was not withdrawn."""
        statement = (
            f"SELECT {', '.join(COLUMNS)} FROM library_policies WHERE withdrawn_at = '' "
            "QUALIFY row_number() OVER (PARTITION BY library ORDER BY number DESC) = 1"
        )
        found = [_policy(row) for row in self._database.rows(statement)]
        return {one.library: one for one in found}


def _policy(row: Row) -> LibraryPolicy:
    values = dict(zip(COLUMNS, row, strict=True))
    return LibraryPolicy(
        library=str(values["library"]),
        number=int(str(values["number"])),
        duplicate_probability=float(str(values["duplicate_probability"])),
        review_probability=float(str(values["review_probability"])),
        decisions=int(str(values["decisions"])),
        created_at=str(values["created_at"]),
    )
