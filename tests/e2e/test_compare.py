"""Two videos compared: by the command line, in a folder, and by a check over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubl import Client, LocalClient
from dubl.contract.bodies import Evidence
from dubl.evaluation.attack_suite import SuiteOptions, write_suite
from dubl.evaluation.suite import QUERIES, REFERENCES, SuiteRoles
from dubl.footage.scenes import generate_library
from dubl.settings import load_settings
from pipelines.cli.main import app
from tests.support.in_process import running_app
from tests.support.numbered_clip import write_numbered_clip


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A film, an excerpt of it, and a stranger."""
    folder = tmp_path_factory.mktemp("films")
    made = generate_library(
        folder / "made", count=1, seed=11, size=(320, 180), shortest_s=6, longest_s=8
    )
    options = SuiteOptions(edits=("trim:0.4",), per_reference=0, seed=11)
    truth = write_suite(folder / "suite", SuiteRoles(references=tuple(made)), options=options)
    (film,), (copy,) = truth.references, truth.queries
    write_numbered_clip(folder / "stranger.mp4", frames=150)
    return {
        "film": folder / "suite" / REFERENCES / film,
        "copy": folder / "suite" / QUERIES / copy,
        "stranger": folder / "stranger.mp4",
    }


def compared(*arguments: object) -> tuple[int, Evidence]:
    result = CliRunner().invoke(app, ["compare", *map(str, arguments), "--json"])
    assert result.exit_code in (0, 10, 11), result.output
    return result.exit_code, Evidence.model_validate_json(result.stdout)


def test_two_files_are_compared_as_a_check_would(films: dict[str, Path], tmp_path: Path) -> None:
    code, found = compared(films["copy"], films["film"])
    assert (code, found.outcome) == (10, "duplicate")
    with LocalClient(tmp_path / "data") as local:
        local.register(films["film"], id="film")
        check = local.check(films["copy"])
        assert check.matches[0].probability == pytest.approx(found.probability, abs=1e-6)
        assert check.matches[0].segments == found.segments
    code, found = compared(films["stranger"], films["film"])
    assert (code, found.outcome) == (0, "unique")
    assert [one.name for one in found.terms[:2]] == ["retrieval_rank", "base"]


def test_a_reference_is_compared_though_no_search_would_find_it(
    films: dict[str, Path], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with LocalClient(data) as local:
        local.register(films["film"], id="film")
    code, found = compared(films["stranger"], "film", "--data", data)
    assert (code, found.outcome, found.reference_id) == (0, "unique", "film")
    told = CliRunner().invoke(app, ["compare", str(films["copy"]), "film", "--data", str(data)])
    assert told.exit_code == 10
    assert "a duplicate from 0.9 on" in told.output
    assert "motion" in told.output
    for other in ("none", tmp_path / "none.mp4"):
        wrong = ["compare", str(films["copy"]), str(other), "--data", str(data)]
        refused = CliRunner().invoke(app, wrong)
        assert refused.exit_code == 1, refused.output
        assert "reference_not_found" in refused.output


def test_a_check_over_http_keeps_the_evidence_of_what_it_was_to_compare(
    films: dict[str, Path], tmp_path: Path
) -> None:
    settings = load_settings(overrides=[f"data_dir={tmp_path}"])
    with running_app(settings) as address, Client(address) as client:
        client.register(films["film"], id="film")
        check = client.check(films["stranger"], reference_id="film")
        assert (check.outcome, check.matches) == ("unique", ())
        found = client.get_evidence(check.id, "film")
        assert (found.outcome, found.terms[0].name) == ("unique", "retrieval_rank")
