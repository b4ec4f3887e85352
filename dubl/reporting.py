"""A report on past work from a ledger and a library: tables by SQL over DuckDB, figures, a page.

From the ledger: checks with their verdicts (segments, speed), matches, reviews, failed jobs. From
the library: id, owner, library of references (an Arrow table). Edits of the picture (mirrored,
inset) are detected in stored evidence and come as `hints`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from dubl.errors import StoreUnavailable
from dubl.evaluation.metrics.detection import Estimate, wilson
from dubl.rendering import render

REFERENCES = pa.schema(
    [pa.field("id", pa.string()), pa.field("owner", pa.string()), pa.field("library", pa.string())]
)
HINTS = pa.schema([pa.field("check_id", pa.string()), pa.field("kind", pa.string())])

# A day's checks, and those of the days before `since`, are left out by name.
CHOSEN = """
CREATE TEMP VIEW chosen AS
    SELECT *, substr(created_at, 1, 10) AS day,
        coalesce((verdict->'timings_ms'->>'total')::DOUBLE, 0) / 1000 AS seconds
    FROM ledger.checks WHERE created_at >= getvariable('since');
CREATE TEMP VIEW segments AS
    SELECT id AS check_id, best->>'reference_id' AS reference_id, unnest(
        CAST(best->'segments' AS JSON[])) AS segment
    FROM (SELECT id, verdict->'matches'->0 AS best FROM chosen WHERE outcome = 'duplicate');
CREATE TEMP VIEW decisions AS
    SELECT r.check_id, r.reference_id, r.reviewer, c.query_sha256, m.probability, c.outcome,
        c.top_reference_id = r.reference_id AS is_top,
        r.decision <> 'rejected' AS is_copy, r.created_at
    FROM ledger.reviews r JOIN chosen c ON c.id = r.check_id
    JOIN ledger.matches m ON m.check_id = r.check_id AND m.reference_id = r.reference_id
    WHERE r.decision IN ('confirmed', 'rejected', 'licensed', 'upheld', 'released')
        AND NOT EXISTS (
            SELECT 1 FROM ledger.reviews later WHERE later.check_id = r.check_id
            AND later.reference_id = r.reference_id AND later.reviewer = r.reviewer
            AND later.decision <> 'comment' AND later.created_at > r.created_at);
CREATE TEMP VIEW settled AS
    SELECT check_id, reference_id, any_value(probability) AS probability,
        any_value(outcome) AS outcome, any_value(is_top) AS is_top,
        arg_max(is_copy, created_at) AS is_copy
    FROM decisions GROUP BY check_id, reference_id;
"""
QUERIES = {
    "days": """
        SELECT day, count(*) FILTER (outcome = 'duplicate') AS duplicate,
            count(*) FILTER (outcome = 'review') AS review,
            count(*) FILTER (outcome = 'unique') AS "unique",
            round(median(seconds), 3) AS median_s,
            round(quantile_cont(seconds, 0.95), 3) AS p95_s
        FROM chosen GROUP BY day ORDER BY day""",
    "owners": """
        SELECT coalesce(nullif(f.owner, ''), '(no owner)') AS owner, count(*) AS duplicates,
            count(DISTINCT c.top_reference_id) AS "references",
            round(coalesce(sum(s.copied_s), 0), 1) AS copied_s
        FROM chosen c LEFT JOIN "references" f ON f.id = c.top_reference_id
        LEFT JOIN (
            SELECT check_id, sum((segment->>'query_end_s')::DOUBLE
                - (segment->>'query_start_s')::DOUBLE) AS copied_s
            FROM segments GROUP BY check_id) s ON s.check_id = c.id
        WHERE c.outcome = 'duplicate' GROUP BY 1 ORDER BY duplicates DESC, 1""",
    "libraries": """
        SELECT m.library, count(DISTINCT c.id) AS duplicates
        FROM chosen c JOIN ledger.matches m
            ON m.check_id = c.id AND m.reference_id = c.top_reference_id
        WHERE c.outcome = 'duplicate' GROUP BY 1 ORDER BY duplicates DESC, 1""",
    "edits": """
        WITH timed AS (
            SELECT check_id, coalesce((segment->>'reversed')::BOOLEAN, false) AS backwards,
                ((segment->>'reference_end_s')::DOUBLE - (segment->>'reference_start_s')::DOUBLE)
                / greatest((segment->>'query_end_s')::DOUBLE
                    - (segment->>'query_start_s')::DOUBLE, 0.001) AS speed
            FROM segments
        ), seen AS (
            SELECT DISTINCT check_id, 'reversed' AS edit FROM timed WHERE backwards
            UNION SELECT DISTINCT check_id, 'speed' FROM timed
                WHERE speed NOT BETWEEN 0.95 AND 1.05
            UNION SELECT DISTINCT check_id, kind FROM hints
                WHERE kind NOT IN ('speed', 'reversed') AND check_id IN (SELECT id FROM chosen)
        ) SELECT edit, count(*) AS duplicates FROM seen GROUP BY edit ORDER BY 2 DESC, 1""",
    "reviewers": """
        SELECT coalesce(nullif(reviewer, ''), '(no name)') AS reviewer, count(*) AS decisions,
            count(*) FILTER (NOT is_copy) AS rejected
        FROM decisions GROUP BY 1 ORDER BY decisions DESC, 1""",
    "agreement": """
        SELECT a.reviewer AS first, b.reviewer AS second, count(*) AS shared,
            count(*) FILTER (a.is_copy = b.is_copy) AS agreed
        FROM decisions a JOIN decisions b ON a.query_sha256 = b.query_sha256
            AND a.reference_id = b.reference_id AND a.reviewer < b.reviewer
        GROUP BY 1, 2 ORDER BY shared DESC, 1, 2""",
    "decided": """
        SELECT outcome, count(*) AS decided, count(*) FILTER (NOT is_copy) AS no_copy
        FROM settled WHERE is_top AND outcome <> 'unique' GROUP BY outcome ORDER BY outcome""",
    "bands": """
        SELECT least(floor(probability * 10), 9) / 10 AS band_start, count(*) AS decided,
            count(*) FILTER (is_copy) AS copies, round(avg(probability), 4) AS mean_probability
        FROM settled GROUP BY 1 ORDER BY 1""",
    "failures": """
        SELECT error_code AS code, count(*) AS jobs FROM ledger.jobs
        WHERE state = 'failed' AND created_at >= getvariable('since')
        GROUP BY 1 ORDER BY jobs DESC, 1""",
    "models": """
        SELECT model_id, policy_version, count(*) AS checks, min(day) AS first_day,
            max(day) AS last_day
        FROM chosen GROUP BY 1, 2 ORDER BY last_day DESC, 1, 2""",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """ledger: a DuckDB file of the current version, opened for reading. references, hints: Arrow
    tables of REFERENCES and HINTS. since: a day; empty: all.
    """

    ledger: Path
    references: pa.Table
    hints: pa.Table
    since: str = ""


def report_tables(sources: Sources) -> dict[str, pa.Table]:
    """One table for each name of QUERIES. Raises StoreUnavailable."""
    try:
        with duckdb.connect() as connection:
            quoted = str(sources.ledger).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS ledger (READ_ONLY)")
            connection.register("references", sources.references)
            connection.register("hints", sources.hints)
            connection.execute("SET VARIABLE since = ?", [sources.since])
            connection.execute(CHOSEN)
            return {name: connection.sql(query).to_arrow_table() for name, query in QUERIES.items()}
    except duckdb.Error as exc:
        raise StoreUnavailable(f"the ledger {sources.ledger} cannot be read: {exc}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`part` of `whole`, with a 95 % Wilson interval; None if `whole` is 0."""

    part: int
    whole: int

    @property
    def estimate(self) -> Estimate | None:
        return wilson(self.part, self.whole) if self.whole else None

    @property
    def text(self) -> str:
        found = self.estimate
        if found is None:
            return "nobody has decided yet"
        return (
            f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%}), {self.part} of {self.whole}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """false_duplicates: reviewed duplicates that are not copies. false_reviews: reviewed matches in
    review that are not copies. agreement: pairs of reviewers of one match with the same decision.
    """

    checks: int
    duplicates: int
    reviews: int
    failures: int
    false_duplicates: Share
    false_reviews: Share
    agreement: Share


def figures_of(tables: Mapping[str, pa.Table]) -> Figures:
    days, agreement = tables["days"], tables["agreement"]
    duplicates, reviews = _total(days, "duplicate"), _total(days, "review")
    return Figures(
        checks=duplicates + reviews + _total(days, "unique"),
        duplicates=duplicates,
        reviews=reviews,
        failures=_total(tables["failures"], "jobs"),
        false_duplicates=_decided(tables["decided"], "duplicate"),
        false_reviews=_decided(tables["decided"], "review"),
        agreement=Share(part=_total(agreement, "agreed"), whole=_total(agreement, "shared")),
    )


def _decided(decided: pa.Table, outcome: str) -> Share:
    for row in decided.to_pylist():
        if row["outcome"] == outcome:
            return Share(part=row["no_copy"], whole=row["decided"])
    return Share(part=0, whole=0)


def _total(table: pa.Table, column: str) -> int:
    return sum(table[column].to_pylist())


def report_page(
    tables: Mapping[str, pa.Table], figures: Figures, *, made_at: str, about: str, hints_of: int
) -> str:
    """`about`: source of the report. `hints_of`: number of duplicates examined for edits."""
    rows = {name: table.to_pylist() for name, table in tables.items()}
    by_day = [day["duplicate"] + day["review"] + day["unique"] for day in rows["days"]]
    bands = [(band, wilson(band["copies"], band["decided"])) for band in rows["bands"]]
    dots = [
        {
            **band,
            "expected": band["mean_probability"],
            "observed": share.value,
            "low": share.low,
            "high": share.high,
        }
        for band, share in bands
    ]
    values = {
        "tables": rows,
        "figures": figures,
        "made_at": made_at,
        "about": about,
        "hints_of": hints_of,
        "most_a_day": max([*by_day, 1]),
        "dots": dots,
    }
    return render("report.html", values)
