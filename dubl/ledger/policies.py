"""Thresholds of libraries, as people's decisions have calibrated them, with their history."""

from __future__ import annotations

from dubl.ledger.database import Database
from dubl.ledger.records import POLICIES, Records
from dubl.ledger.reviews import DECIDED
from dubl.ledger.statements import utc_now
from dubl.types import JudgedMatch, LibraryPolicy

JUDGED = Records(
    JudgedMatch,
    f"""({DECIDED}
    SELECT m.library, arg_max(m.probability, d.created_at) AS probability,
        arg_max(d.decision, d.created_at) AS decision,
        arg_max(d.decision <> 'rejected', d.created_at) AS copied
    FROM decisions d JOIN matches m
        ON m.check_id = d.check_id AND m.reference_id = d.reference_id
    GROUP BY m.library, d.query_sha256, d.reference_id)""",
)


class Policies:
    """Of one ledger. Every method raises StoreUnavailable as the ledger's own do."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def judged(self, library: str) -> tuple[JudgedMatch, ...]:
        """Matches with references of a library on which people have decided; the same bytes and
        reference once, by the latest decision."""
        statement = JUDGED.select("WHERE library = ? AND decision <> 'reopened'")
        return JUDGED.objects(self._database.rows(statement, [library]))

    def adopt(
        self, library: str, *, duplicate: float, review: float, decisions: int
    ) -> LibraryPolicy:
        """Makes these the library's thresholds from now on."""
        with self._database.transaction("adopt thresholds") as connection:
            row = connection.execute(
                "SELECT coalesce(max(number), 0) FROM library_policies WHERE library = ?", [library]
            ).fetchone()
            number = int(row[0]) + 1 if row is not None else 1
            policy = LibraryPolicy(
                library=library,
                number=number,
                duplicate_probability=duplicate,
                review_probability=review,
                decisions=decisions,
                created_at=utc_now(),
            )
            POLICIES.put(connection, policy)
        return policy

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
        statement = POLICIES.select("WHERE withdrawn_at = '' ORDER BY number")
        return {one.library: one for one in POLICIES.objects(self._database.rows(statement))}
