"""The three doors give the same answers: a data folder, the engine in this process behind HTTP, and
a running service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dubl import Client, ClientError, DublError, LocalClient
from dubl.assembly import challenger_settings, make_store
from dubl.contract.bodies import LicenseWindow, Rights
from dubl.evaluation.attack_suite import SuiteOptions, write_suite
from dubl.evaluation.suite import QUERIES, REFERENCES, SuiteRoles
from dubl.footage.scenes import generate_library
from dubl.settings import Settings, load_settings
from pipelines.local_server import running_server
from tests.support.in_process import running_app
from tests.support.other_weights import other_weights

pytestmark = pytest.mark.slow

Dubl = Client | LocalClient
# They differ from run to run, or follow from what a service does in the background.
NOT_COMPARED = frozenset({"timings_ms", "created_at", "index_version", "decided_at", "time"})
LOOKED_BACK_S = 60.0


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two films, an excerpt of each, and a stranger."""
    folder = tmp_path_factory.mktemp("films")
    made = generate_library(
        folder / "made", count=3, seed=11, size=(320, 180), shortest_s=6, longest_s=8
    )
    roles = SuiteRoles(references=tuple(made[:2]), strangers=tuple(made[2:]))
    options = SuiteOptions(edits=("trim:0.4",), per_reference=0, seed=11)
    truth = write_suite(folder / "suite", roles, options=options)
    copies = {
        query.matches[0].reference: name for name, query in truth.queries.items() if query.matches
    }
    film, late = truth.references
    (stranger,) = (name for name, query in truth.queries.items() if not query.matches)
    queries, references = folder / "suite" / QUERIES, folder / "suite" / REFERENCES
    return {
        "film": references / film,
        "late": references / late,
        "copy": queries / copies[film],
        "earlier": queries / copies[late],
        "stranger": queries / stranger,
    }


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a second feature space."""
    return other_weights(tmp_path_factory.mktemp("weights") / "other")


def overrides(weights: Path) -> list[str]:
    return [
        f"candidate.weights={weights}",
        "candidate.shadow_share=0",
        "lookback.keep_uploads=true",
        "lookback.delay_s=0",
    ]


def settings_of(data: Path, weights: Path) -> Settings:
    return load_settings(
        "configs/local.yaml", [f"data_dir={data}", *overrides(weights)], environment={}
    )


@contextmanager
def folder(data: Path, weights: Path) -> Iterator[Dubl]:
    with LocalClient(settings=settings_of(data, weights)) as dubl:
        yield dubl


@contextmanager
def in_process(data: Path, weights: Path) -> Iterator[Dubl]:
    with running_app(settings_of(data, weights)) as address, Client(address) as dubl:
        yield dubl


@contextmanager
def service(data: Path, weights: Path) -> Iterator[Dubl]:
    with running_server(data, overrides=overrides(weights)) as address, Client(address) as dubl:
        yield dubl


def told(act: Callable[[], object]) -> object:
    """The answer without what is not compared; the code of an error."""
    try:
        return plain(act())
    except (ClientError, DublError) as exc:
        return exc.code


def plain(answer: object) -> object:
    if hasattr(answer, "model_dump"):
        answer = answer.model_dump(mode="json")
    if isinstance(answer, dict):
        return {name: plain(one) for name, one in answer.items() if name not in NOT_COMPARED}
    if isinstance(answer, list | tuple):
        return [plain(one) for one in answer]
    return round(answer, 4) if isinstance(answer, float) else answer


def looked_back(dubl: Dubl, count: int) -> list[object]:
    """All checks, when there are so many: what follows a registration may take its time."""
    give_up_at = time.monotonic() + LOOKED_BACK_S
    while len(dubl.list_checks().items) < count and time.monotonic() < give_up_at:
        time.sleep(0.2)
    return [
        (one.query_name, one.outcome, [match.reference_id for match in one.matches])
        for one in dubl.list_checks().items
    ]


def story(dubl: Dubl, films: dict[str, Path]) -> dict[str, object]:
    """What a door answers to each question."""
    licensed = Rights(license_windows=(LicenseWindow(territories=("RU",)),))
    review = {"decision": "rejected", "reviewer": "anna"}
    return {
        "register": told(lambda: dubl.register(films["film"], id="film", title="Film", owner="S")),
        "register again": told(lambda: dubl.register(films["film"], id="film")),
        "same bytes": told(lambda: dubl.register(films["film"], id="other")),
        "same bytes elsewhere": told(
            lambda: dubl.register(films["film"], id="theirs", library="films")
        ),
        "taken id": told(lambda: dubl.register(films["late"], id="film", library="films")),
        "taken film": told(lambda: dubl.register(films["late"], id="film")),
        "copy": told(lambda: dubl.check(films["copy"], id="c")),
        "copy again": told(lambda: dubl.check(films["copy"], id="c")),
        "taken check": told(lambda: dubl.check(films["stranger"], id="c")),
        "taken check elsewhere": told(lambda: dubl.check(films["copy"], id="c", territory="de")),
        "stranger": told(lambda: dubl.check(films["stranger"], id="s")),
        "one library": told(lambda: dubl.check(films["copy"], id="l", libraries=["films"])),
        "licensed": told(lambda: dubl.update_reference("film", rights=licensed)),
        "allowed": told(lambda: dubl.check(films["copy"], id="a", territory="ru")),
        "elsewhere": told(lambda: dubl.check(films["copy"], id="e", territory="de")),
        "queue": told(lambda: dubl.review_queue()),
        "rejected": told(lambda: dubl.review("c", "film", **review).decision),
        "after rejection": told(lambda: dubl.check(films["copy"], id="r")),
        "nearest": told(lambda: dubl.nearest("c")),
        "no such check": told(lambda: dubl.review("none", "film", **review)),
        "earlier": told(lambda: dubl.check(films["earlier"], id="b")),
        "late": told(lambda: dubl.register(films["late"], id="late")),
        "looked back": looked_back(dubl, 8),
        "listed": told(lambda: dubl.list_references()),
        "libraries": told(lambda: dubl.list_libraries()),
        "deleted": told(lambda: dubl.delete_reference("theirs")),
        "gone": told(lambda: dubl.get_reference("theirs")),
        "never": told(lambda: dubl.wait_for_check("none")),
        "after deletion": told(lambda: dubl.check(films["copy"], id="d", libraries=["films"])),
    }


@pytest.fixture(scope="module")
def answers(
    films: dict[str, Path], weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, object]:
    """Those of a data folder."""
    data = tmp_path_factory.mktemp("folder")
    with folder(data, weights) as dubl:
        found = story(dubl, films)
    require_both_spaces(data, weights)
    return found


def require_both_spaces(data: Path, weights: Path) -> None:
    settings = settings_of(data, weights)
    for each in (settings, challenger_settings(settings)):
        assert make_store(each, read_only=True).libraries() == {"main": 2}


def test_a_data_folder_knows_ids_rights_decisions_and_earlier_uploads(
    answers: dict[str, object],
) -> None:
    outcomes = {
        name: one["outcome"]
        for name, one in answers.items()
        if "outcome" in str(one) and isinstance(one, dict) and "outcome" in one
    }
    assert outcomes == {
        "copy": "duplicate",
        "copy again": "duplicate",
        "stranger": "unique",
        "one library": "duplicate",
        "allowed": "duplicate",
        "elsewhere": "duplicate",
        "after rejection": "duplicate",
        "earlier": "unique",
        "after deletion": "unique",
    }
    assert (answers["taken id"], answers["taken check"]) == ("state_conflict", "state_conflict")
    assert answers["taken check elsewhere"] == answers["taken film"] == "state_conflict"
    assert answers["gone"] == "reference_not_found"
    assert answers["never"] == "check_not_found"
    assert answers["looked back"][0][1:] == ("duplicate", ["late"])


@pytest.mark.parametrize("door", [in_process, service])
def test_every_door_gives_the_same_answers(
    door: Callable[[Path, Path], Iterator[Dubl]],
    answers: dict[str, object],
    films: dict[str, Path],
    weights: Path,
    tmp_path: Path,
) -> None:
    with door(tmp_path, weights) as dubl:
        found = story(dubl, films)
    for question, answer in answers.items():
        assert found[question] == answer, question
    require_both_spaces(tmp_path, weights)
