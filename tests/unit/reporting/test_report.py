"""Figures of the report, counted by hand on a small ledger."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from dubl.ledger.ledger import Ledger
from dubl.reporting import HINTS, REFERENCES, Share, Sources, figures_of, report_page, report_tables
from dubl.types import Check, Decision, Match, Outcome, Segment, Verdict
from pipelines.cli.main import app

OWNERS = [
    {"id": "film", "owner": "<Studio> & Co", "library": "main"},
    {"id": "show", "owner": "", "library": "main"},
]


def check(
    name: str, day: str, probability: float, reference: str = "film", *, end_s: float = 12.0
) -> Check:
    outcome = Outcome.DUPLICATE if probability >= 0.9 else Outcome.REVIEW
    segment = Segment(
        query_start_s=0.0,
        query_end_s=10.0,
        reference_start_s=2.0,
        reference_end_s=end_s,
        similarity=0.9,
    )
    match = Match(
        reference_id=reference,
        library="main",
        similarity=0.9,
        probability=probability,
        segments=(segment,),
    )
    verdict = Verdict(
        outcome=outcome if probability else Outcome.UNIQUE,
        probability=probability,
        matches=(match,) if probability else (),
        model_id="m@1",
        policy_version="1",
        index_version=1,
        timings_ms={"total": 1500.0},
    )
    return Check(
        id=name,
        query_name=f"{name}.mp4",
        query_sha256=f"sum of {name}",
        libraries=(),
        created_at=f"{day}T10:00:00.000Z",
        verdict=verdict,
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Two days: three duplicates (one twice as fast), one for review, one unique; an old check."""
    path = tmp_path / "ledger.duckdb"
    with closing(Ledger(path)) as ledger:
        ledger.record_check(check("old", "2020-01-01", 0.99))
        ledger.record_check(check("a", "2026-01-01", 0.99))
        ledger.record_check(check("b", "2026-01-01", 0.95, end_s=22.0))
        ledger.record_check(check("c", "2026-01-02", 0.92, "show"))
        ledger.record_check(check("d", "2026-01-02", 0.6))
        ledger.record_check(check("e", "2026-01-02", 0.0))
        for name, reference, said, who in (
            ("a", "film", Decision.REJECTED, "Anna"),
            ("a", "film", Decision.CONFIRMED, "Anna"),  # she changed her mind
            ("a", "film", Decision.CONFIRMED, "Boris"),
            ("b", "film", Decision.REJECTED, "Boris"),
            ("d", "film", Decision.REJECTED, "Anna"),
            ("d", "film", Decision.LICENSED, "Boris"),
            ("c", "show", Decision.COMMENT, "Anna"),
        ):
            ledger.reviews.record(name, reference, decision=said, reviewer=who, note="")
    return path


@pytest.fixture
def tables(ledger: Path) -> dict[str, pa.Table]:
    hints = [{"check_id": "a", "kind": "mirrored"}, {"check_id": "old", "kind": "inset"}]
    sources = Sources(
        ledger=ledger,
        references=pa.Table.from_pylist(OWNERS, schema=REFERENCES),
        hints=pa.Table.from_pylist(hints, schema=HINTS),
        since="2025-01-01",
    )
    return report_tables(sources)


def test_checks_are_counted_by_day_owner_and_edit(tables: dict[str, pa.Table]) -> None:
    days = [
        (row["day"], row["duplicate"], row["review"], row["unique"])
        for row in tables["days"].to_pylist()
    ]
    assert days == [("2026-01-01", 2, 0, 0), ("2026-01-02", 1, 1, 1)]
    owners = {row["owner"]: row for row in tables["owners"].to_pylist()}
    assert owners["<Studio> & Co"]["duplicates"] == 2
    assert owners["<Studio> & Co"]["copied_s"] == 20.0
    assert owners["(no owner)"]["duplicates"] == 1
    edits = {row["edit"]: row["duplicates"] for row in tables["edits"].to_pylist()}
    assert edits == {"mirrored": 1, "speed": 1}


def test_decisions_give_error_rates_and_agreement(tables: dict[str, pa.Table]) -> None:
    figures = figures_of(tables)
    assert (figures.checks, figures.duplicates, figures.reviews) == (5, 3, 1)
    # Of a and b, b is no copy; of d, the latest decision holds.
    assert figures.false_duplicates == Share(part=1, whole=2)
    assert figures.false_reviews == Share(part=0, whole=1)
    # Anna and Boris both decided on a (agree) and d (do not).
    assert figures.agreement == Share(part=1, whole=2)
    estimate = figures.false_duplicates.estimate
    assert estimate is not None
    assert 0.0 < estimate.low < 0.5 < estimate.high < 1.0
    assert Share(part=0, whole=0).text == "nobody has decided yet"


def test_the_page_needs_nothing_else_and_shows_names_as_text(tables: dict[str, pa.Table]) -> None:
    page = report_page(tables, figures_of(tables), made_at="now", about="here", hints_of=1)
    assert "&lt;Studio&gt; &amp; Co" in page
    assert "<Studio>" not in page
    assert not re.search(r"https?://|<script|<link|<img|url\(", page)
    assert page.count("<svg") == 1  # of decisions
    assert len(re.findall(r'<div title="2026-01-0\d: ', page)) == 2  # days
    assert page.count('class="number bar"') == 2 + 2 + 2  # owners, edits, reviewers
    assert page.count("<p>None.</p>") == 1  # nothing failed
    assert "default-src 'none'" in page


def test_an_empty_ledger_has_a_page_too(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.duckdb")):
        pass
    out = tmp_path / "out"
    arguments = ["report", "--data", str(tmp_path), "--out", str(out)]
    done = CliRunner().invoke(app, arguments, env={"DUBL_URL": ""})
    assert done.exit_code == 0, done.output
    assert "nobody has decided yet" in (out / "report.html").read_text()


def test_tables_are_exported_and_nothing_there_is_an_error(ledger: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["report", "--data", str(ledger.parent), "--out", str(out), "--days", "0"]
    arguments += ["--export", "csv", "--export", "json", "--export", "parquet", "--json"]
    done = CliRunner().invoke(app, arguments, env={"DUBL_URL": ""})
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["figures"]["duplicates"] == 4
    assert pq.read_table(out / "days.parquet").num_rows == 3
    assert (out / "days.csv").read_text().startswith('"day"')
    assert json.loads((out / "decided.json").read_text())[0]["outcome"] == "duplicate"
    absent = ["report", "--data", str(tmp_path / "none"), "--out", str(out)]
    failed = CliRunner().invoke(app, absent, env={"DUBL_URL": ""})
    assert failed.exit_code == 1
    assert "has no ledger" in failed.output
