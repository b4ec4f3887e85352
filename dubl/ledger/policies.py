"""Thresholds of libraries, fitted to review decisions, with their history."""

from __future__ import annotations

from dubl.ledger.clock import utc_now
from dubl.ledger.database import Database
from dubl.ledger.records import POLICIES, Records
from dubl.ledger.states import decided
from dubl.types import DecidedMatch, LibraryPolicy

LATEST = "(array_agg({} ORDER BY d.created_at DESC))[1]"
DECIDED_MATCHES = Records(
    DecidedMatch,
    f"""({decided()}
    SELECT m.library, {LATEST.format("m.probability")} AS probability,
        {LATEST.format("d.decision")} AS decision,
        {LATEST.format("d.decision <> 'rejected'")} AS copied
    FROM decisions d JOIN matches m
        ON m.check_id = d.check_id AND m.reference_id = d.reference_id
    GROUP BY m.library, d.query_sha256, d.reference_id) AS decided_matches""",
)


class Policies:
    """Policies of one ledger. Methods raise StoreUnavailable like the ledger's own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def decided_matches(self, library: str) -> tuple[DecidedMatch, ...]:
        """Decided matches of a library.

        The same bytes and reference count once, with the latest decision.
        """
        statement = DECIDED_MATCHES.select(
            "WHERE library = ? AND decision NOT IN ('reopened', 'disputed')"
        )
        return DECIDED_MATCHES.objects(self._database.rows(statement, [library]))

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
        """Returns a library to the settings' thresholds; its numbers are not used again."""
        with self._database.transaction("withdraw thresholds") as connection:
            connection.execute(
                "UPDATE library_policies SET withdrawn_at = ? "
                "WHERE library = ? AND withdrawn_at = ''",
                [utc_now(), library],
            )

    def current(self) -> dict[str, LibraryPolicy]:
        """The latest policy of each library, unless it was withdrawn."""
        statement = POLICIES.select("WHERE withdrawn_at = '' ORDER BY number")
        return {one.library: one for one in POLICIES.objects(self._database.rows(statement))}
