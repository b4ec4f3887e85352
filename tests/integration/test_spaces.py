"""New weights are tried beside the old ones, switched in, rolled back, and carried to the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from dubl.assembly import challenger_settings, make_space, make_store
from dubl.engine.ledger import open_ledger, require_answering
from dubl.errors import ConfigurationError
from dubl.index.keys import read_keys
from dubl.settings import Settings, load_settings
from pipelines.archive_source import open_archive
from pipelines.archive_stages import DecodeStage, EmbedStage, packs
from pipelines.archive_writer import ArchiveWriter
from pipelines.local_server import running_server
from tests.integration.conftest import Clips
from tests.support.in_process import running_app
from tests.support.other_weights import other_weights
from tests.support.service import Client

OLD = "dubl-compact"
TIMEOUT_S = 300.0


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Other weights, by their folder."""
    return str(other_weights(tmp_path_factory.mktemp("weights") / "other"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spaces")


@pytest.fixture(scope="module")
def configured(folder: Path, clips: Clips) -> Callable[..., Settings]:
    def made(weights: str, candidate: str = "") -> Settings:
        overrides = [
            f"data_dir={folder / 'data'}",
            f"media.allowed_roots=[{clips.folder}]",
            f"model.weights={weights}",
            f"candidate.weights={candidate}" if candidate else "candidate.shadow_share=0",
            "candidate.shadow_share=1",
            "lookback.keep_uploads=true",
            "lookback.delay_s=0",
        ]
        return load_settings("configs/local.yaml", overrides, environment={})

    return made


@contextmanager
def service(settings: Settings) -> Iterator[Client]:
    with running_app(settings) as address, Client(address) as client:
        yield client


def spaces(client: Client) -> list[dict[str, object]]:
    items: list[dict[str, object]] = client.http.get("/v1/spaces").json()["items"]
    return items


def fill(settings: Settings, listing: Path) -> ArchiveWriter:
    """What the indexing job does with `--space candidate`, without Ray."""
    theirs = challenger_settings(settings)
    store = make_store(theirs)
    answering = make_store(settings, read_only=True)
    writer = ArchiveWriter(store, library="main", batch_videos=64, answering=answering)
    known = read_keys(store.tables)
    decode, embed = DecodeStage(theirs, known, "main"), EmbedStage(theirs)
    for table in packs(open_archive(str(listing)), known):
        for row in (one for pack in table.to_pylist() for one in decode(pack)):
            described = embed({name: [value] for name, value in row.items()})
            writer.add({name: values[0] for name, values in described.items()})
    writer.flush()
    return writer


def test_an_upgrade_from_beginning_to_end(
    configured: Callable[..., Settings], clips: Clips, folder: Path, new: str
) -> None:
    uploaded, by_path, late = clips.references
    copies = {
        path.stem: copy for path, copy in zip(clips.references, copies_of(clips), strict=True)
    }
    before, during = configured(OLD), configured(OLD, new)
    old_space, new_space = make_space(before), make_space(challenger_settings(during))

    with service(before) as client:
        assert client.register(uploaded, id=uploaded.stem).status_code == 201
        asked = {"path": str(by_path), "id": by_path.stem}
        client.http.post("/v1/references", json=asked, headers={"Prefer": "wait=120"})
        (alone,) = spaces(client)
        assert (alone["space_id"], alone["answers"]) == (old_space.id, True)
        assert (alone["references"], alone["missing"]) == (2, 0)

    with service(during) as client:
        # The new space is empty; whoever is new is in both.
        assert client.register(late, id=late.stem).status_code == 201
        answering, candidate = spaces(client)
        assert (answering["references"], candidate["references"]) == (3, 1)
        assert candidate["missing"] == 2
        switch = {"space_id": new_space.id}
        refused = client.http.post("/v1/spaces/switch", json=switch)
        assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")
        # Rights that were changed before the space is filled hold in it, too.
        allowed = {"rights": {"action": "allow"}}
        assert client.http.patch(f"/v1/references/{by_path.stem}", json=allowed).is_success

        missing = client.http.get(f"/v1/spaces/{new_space.id}/missing").json()["items"]
        assert {one["id"] for one in missing} == {uploaded.stem, by_path.stem}
        listing = folder / "missing.csv"
        rows = [f"{one['id']},{one['path']}" for one in missing]
        listing.write_text("\n".join(["id,path", *rows, f"stranger,{copies[late.stem]}"]))
        counts = fill(during, listing).counts
        assert (counts.registered, counts.left_out, counts.failed) == (2, 1, 0)
        assert [one["missing"] for one in spaces(client)] == [0, 0]

        first = client.check(copies[uploaded.stem]).json()
        assert (first["outcome"], first["model_id"]) == ("duplicate", old_space.model_id)
        compared = wait_for_shadows(client, new_space.id, 1)
        assert (compared["agreed"], compared["differing"]) == (1, [])

        assert client.http.post("/v1/spaces/switch", json=switch | {"note": "x"}).is_success
        assert [one["answers"] for one in spaces(client)] == [False, True]
        second = client.check(copies[uploaded.stem]).json()
        assert (second["outcome"], second["model_id"]) == ("duplicate", new_space.model_id)
        wait_for_shadows(client, old_space.id, 1)
        licensed = client.check(copies[by_path.stem]).json()
        assert (licensed["outcome"], licensed["model_id"]) == ("unique", new_space.model_id)
        # Each is explained in its own space.
        for check in (first, second):
            at = f"/v1/checks/{check['id']}/matches/{uploaded.stem}/evidence"
            pairs = client.http.get(at).json()["pairs"]
            assert min(pair["similarity"] for pair in pairs) > 0.5
        found = client.http.post(
            "/v1/search/frame",
            files={"file": (late.name, late.read_bytes())},
            data={"time_s": "3"},
        ).json()["items"]
        assert found[0]["reference_id"] == late.stem

        rolled = client.http.post("/v1/spaces/rollback", json={"note": "as a drill"}).json()
        assert (rolled["space_id"], rolled["rollback"]) == (old_space.id, True)
        assert client.check(copies[late.stem]).json()["model_id"] == old_space.model_id
        again = client.http.post("/v1/spaces/rollback")
        assert again.status_code == httpx.codes.CONFLICT
        assert client.http.post("/v1/spaces/switch", json=switch).is_success
        assert client.http.delete(f"/v1/references/{late.stem}").is_success

    with pytest.raises(ConfigurationError, match="neither"):
        asyncio.run(opened(before))

    # The settings follow: first with the old weights as the way back, then without them.
    for settings in (configured(new, OLD), configured(new)):
        with service(settings) as client:
            states = {one["space_id"]: one for one in spaces(client)}
            assert states[new_space.id]["answers"]
            assert all(one["references"] == 2 and not one["missing"] for one in states.values())
            check = client.check(copies[uploaded.stem]).json()
            assert (check["outcome"], check["model_id"]) == ("duplicate", new_space.model_id)
            if len(states) == 1:
                assert client.http.post("/v1/spaces/rollback").status_code == 404

    for table in (folder / "data" / "library").glob("*.lance"):
        table.rename(table.with_suffix(".dropped"))
    assert make_store(configured(new)).libraries() == {"main": 2}


@pytest.mark.slow
def test_a_space_is_switched_in_while_callers_go_on(
    clips: Clips, new: str, ray_address: str, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    overrides = [
        f"media.allowed_roots=[{clips.folder}]",
        f"candidate.weights={new}",
        "candidate.shadow_share=1",
    ]
    settings = load_settings(overrides=[f"data_dir={data}", *overrides], environment={})
    archive = str(clips.references[0].parent)
    run("index", archive, "--data", str(data), "--address", ray_address)
    old_space, new_space = make_space(settings), make_space(challenger_settings(settings))
    with running_server(data, overrides=overrides) as address, callers(address, clips) as told:
        command = ("index", archive, "--data", str(data), "--space", "candidate")
        options = ("--address", ray_address, "--set", f"candidate.weights={new}")
        assert '"registered": 3' in run(*command, *options)
        with Client(address) as client:
            wait_until(lambda: shadow_of(client, new_space.id)["shadow_checks"] != 0)
            assert shadow_of(client, new_space.id)["missing"] == 0
        asked = len(told)
        for action, model_id in (
            (("switch", new_space.id), new_space.model_id),
            (("rollback",), old_space.model_id),
        ):
            run("spaces", *action, "--url", address)
            # Checks that were under way are answered by the space before.
            wait_until(
                lambda model_id=model_id: [one["model_id"] for one in told[-2:]] == [model_id] * 2
            )
        assert len(told) > asked
        assert {one["outcome"] for one in told} == {"duplicate"}


@contextmanager
def callers(address: str, clips: Clips) -> Iterator[list[dict[str, object]]]:
    """Somebody who asks again and again; the verdicts so far."""
    stopped, told = threading.Event(), list[dict[str, object]]()

    def ask() -> None:
        with Client(address) as client:
            while not stopped.is_set():
                answer = client.check(clips.queries("recode")[0])
                told.append(answer.json() if answer.is_success else {"outcome": answer.text})

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield told
    finally:
        stopped.set()
        thread.join()


def run(*arguments: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-c", "from pipelines.cli.main import app; app()", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def opened(settings: Settings) -> None:
    """As the Ledger does at its start."""
    ledger = await asyncio.to_thread(open_ledger, settings, patience_s=60)
    try:
        require_answering(ledger, settings)
    finally:
        ledger.close()


def copies_of(clips: Clips) -> list[Path]:
    """A copy of each reference, in their order."""
    found = {
        query.matches[0].reference: clips.folder / "queries" / name
        for name, query in clips.truth.queries.items()
        if query.attack == "trim"
    }
    return [found[name] for name in clips.truth.references]


def wait_for_shadows(client: Client, space_id: str, count: int) -> dict[str, object]:
    wait_until(lambda: shadow_of(client, space_id)["shadow_checks"] == count)
    return shadow_of(client, space_id)


def shadow_of(client: Client, space_id: str) -> dict[str, object]:
    return next(one for one in spaces(client) if one["space_id"] == space_id)


def wait_until(true: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < give_up_at
        time.sleep(0.2)
