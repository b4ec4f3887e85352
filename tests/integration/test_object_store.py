"""Library, uploads, snapshots and back-ups in a real S3 server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubl.assembly import make_spool, make_store
from dubl.errors import SourceNotFound
from dubl.ledger.ledger import Ledger
from dubl.objects import ObjectFolder
from dubl.settings import load_settings
from pipelines.cli.main import app
from tests.integration.conftest import Clips
from tests.support.in_process import running_app
from tests.support.s3 import BUCKET, S3, running_s3
from tests.support.service import WAIT, Client
from tests.support.stored_videos import random_entry

WRITERS, VIDEOS = 3, 6


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with running_s3(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture(autouse=True)
def _credentials(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


def test_objects_are_stored_listed_fetched_and_removed(s3: S3, tmp_path: Path) -> None:
    folder = ObjectFolder(s3.address("objects"))
    assert folder.list() == ()
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    folder.put(tmp_path / "a", "one/a")
    (found,) = folder.list()
    assert (found.name, found.size_bytes) == ("one/a", 3_000_000)
    folder.get("one/a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    folder.remove("one/a")
    folder.remove("one/a")
    assert folder.list() == ()
    with pytest.raises(SourceNotFound):
        folder.get("one/a", tmp_path / "c")


def test_an_upload_is_found_by_every_node_and_removed_for_all(s3: S3, tmp_path: Path) -> None:
    spools = [
        make_spool(
            load_settings(
                overrides=[f"data_dir={tmp_path / node}", f"spool.uri={s3.address('spool')}"],
                environment={},
            )
        )
        for node in ("receives", "decodes")
    ]
    with spools[0].writer("film.mp4") as writer:
        writer.write(b"bytes")
        source = writer.commit()
    assert source.path.startswith(f"s3://{BUCKET}/spool/")
    with spools[1].local(source) as file:
        assert Path(file.path).read_bytes() == b"bytes"
        assert (file.name, file.sha256) == (source.name, source.sha256)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert spools[1].remove_older_than(-60, keep=[source]) == 0
    assert spools[1].remove_older_than(-60) == 1
    with pytest.raises(SourceNotFound), spools[1].local(source):
        pass


def test_writers_that_meet_at_a_new_library_write_every_reference_once() -> None:
    uri = f"s3://{BUCKET}/contested"
    command = [sys.executable, "-m", "tests.support.s3_writer", uri, str(VIDEOS)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(WRITERS)]
    made = [int(writer.communicate(timeout=300)[0]) for writer in writers]
    store = make_store(load_settings(overrides=[f"index.uri={uri}"], environment={}))
    assert sum(made) == VIDEOS, made
    assert len(store.list().items) == VIDEOS
    assert store.tables.frames.count_rows() == sum(
        reference.frame_count for reference in store.list().items
    )


def test_a_back_up_in_a_bucket_is_restored_from_there(s3: S3, tmp_path: Path) -> None:
    old, new = (tmp_path / name for name in ("old", "new"))
    settings = load_settings(overrides=[f"data_dir={old}"], environment={})
    make_store(settings).register([random_entry(settings, "one", seed=1)])
    with closing(Ledger(settings.ledger_path)):
        pass
    address = s3.address("backups/monday")
    runner = CliRunner()
    saved = runner.invoke(app, ["backup", address, "--data", str(old)], env={"DUBL_URL": ""})
    assert saved.exit_code == 0, saved.output
    again = runner.invoke(app, ["backup", address, "--data", str(old)], env={"DUBL_URL": ""})
    assert "is not empty" in again.output
    restored = runner.invoke(app, ["restore", address, "--data", str(new)])
    assert restored.exit_code == 0, restored.output
    there = make_store(load_settings(overrides=[f"data_dir={new}"], environment={}))
    assert there.get("one").title == "title of one"


def test_a_service_whose_disk_is_lost_goes_on_from_the_bucket(
    s3: S3, clips: Clips, tmp_path: Path
) -> None:
    settings = load_settings(
        overrides=[
            f"data_dir={tmp_path / 'data'}",
            f"index.uri=s3://{BUCKET}/library",
            f"spool.uri={s3.address('uploads')}",
            f"ledger.snapshots={s3.address('ledger')}",
            "serve.lease_s=2",  # work that was under way is soon taken up again
        ],
        environment={},
    )
    with running_app(settings) as address, Client(address) as client:
        assert client.register(clips.references[0], id="first").status_code == 201
        check = client.check(clips.queries("recode")[0]).json()
        with clips.references[1].open("rb") as file:
            accepted = client.http.post("/v1/references", files={"file": ("b.mp4", file)}).json()
    shutil.rmtree(settings.data_dir)

    with running_app(settings) as address, Client(address) as client:
        assert client.http.get(f"/v1/checks/{check['id']}").json() == check
        assert client.http.get("/v1/references/first").json()["id"] == "first"
        late = client.http.get(f"/v1/references/{accepted['id']}", headers=WAIT).json()
        assert late["status"] == "ready", late
        events = client.http.get(f"/v1/jobs/{accepted['job_id']}/events").text  # until it has ended
        assert '"status":"done"' in events
        again = client.check(clips.queries("recode")[0]).json()
        assert again["outcome"] == check["outcome"] == "duplicate"
    assert ObjectFolder(s3.address("uploads")).list() == ()
    assert list(settings.spool_dir.iterdir()) == []
