"""A back-up brings everything back, whatever is written meanwhile, and says when it cannot."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from click.testing import Result
from typer.testing import CliRunner

from dubl.assembly import make_ledger, make_retriever, make_store
from dubl.backup import LEDGER_FILE, MANIFEST, REFERENCES_FILE, restore_backup, write_backup
from dubl.errors import FeatureSpaceMismatch, InvalidRequest, StoreUnavailable
from dubl.ledger.api_keys import make_key
from dubl.settings import Settings, load_settings
from dubl.types import Check, Job, JobKind, JobState, Outcome, Scope, Verdict
from pipelines.cli.main import app
from pipelines.local_server import free_port
from tests.support.fake_service import FakeService
from tests.support.stored_videos import random_entry, random_features

CREATED_AT = "2026-01-02T03:04:05.000Z"


def settings_in(folder: Path, *overrides: str) -> Settings:
    return load_settings(overrides=[f"data_dir={folder}", *overrides], environment={})


@pytest.fixture
def source(tmp_path: Path) -> Settings:
    """A library of three videos; a verdict, a key, and a job whose upload waits in the spool."""
    settings = settings_in(tmp_path / "source")
    store = make_store(settings)
    store.register([random_entry(settings, f"видео {n}", seed=n) for n in range(3)])
    settings.spool_dir.mkdir()
    upload = settings.spool_dir / "ab12"
    upload.write_bytes(b"a video")
    (settings.spool_dir / "cd34.part").write_bytes(b"half a vi")
    request = {"id": "c2", "video": {"upload": {"path": str(upload), "name": "a.mp4"}}}
    with closing(make_ledger(settings)) as ledger:
        ledger.record_check(CHECK)
        ledger.keys.add(make_key("a", scopes=[Scope.ADMIN]).key)
        ledger.jobs.create(
            Job(
                id="j",
                kind=JobKind.CHECK,
                state=JobState.QUEUED,
                subject_id="c2",
                request=request,
                created_at=CREATED_AT,
            ),
            tries=3,
        )
    return settings


CHECK = Check(
    id="c",
    query_name="a.mp4",
    query_sha256="ab",
    libraries=(),
    created_at=CREATED_AT,
    verdict=Verdict(
        outcome=Outcome.UNIQUE,
        probability=0.1,
        matches=(),
        model_id="m",
        policy_version="1",
        index_version=1,
    ),
)


def _save(folder: Path, settings: Settings) -> None:
    with closing(make_ledger(settings)) as ledger:
        write_backup(folder, settings, copy_ledger=ledger.copy_to)


def test_everything_comes_back_elsewhere(tmp_path: Path, source: Settings) -> None:
    _save(tmp_path / "copy", source)
    target = settings_in(tmp_path / "target")
    restore_backup(tmp_path / "copy", target)
    before, after = make_store(source), make_store(target)
    assert after.list() == before.list()
    ids = [reference.id for reference in before.list().items]
    old, new = before.read_features(ids), after.read_features(ids)
    for name in ids:
        assert np.array_equal(old[name].descriptors, new[name].descriptors)
        assert np.array_equal(old[name].region_features, new[name].region_features)
    query = random_features(source, seed=1)
    candidates = [make_retriever(s).retrieve(query).candidates for s in (source, target)]
    assert candidates[0] == candidates[1]
    assert candidates[1][0].reference_id == "видео 1"
    with closing(make_ledger(source)) as old_ledger, closing(make_ledger(target)) as ledger:
        assert ledger.get_check("c") == CHECK
        assert ledger.keys.list() == old_ledger.keys.list()
        job = ledger.jobs.get("j")
    upload = Path(job.request["video"]["upload"]["path"])
    assert upload == target.spool_dir / "ab12"
    assert upload.read_bytes() == b"a video"
    assert [path.name for path in target.spool_dir.iterdir()] == ["ab12"]


def test_a_restored_library_goes_on(tmp_path: Path, source: Settings) -> None:
    _save(tmp_path / "copy", source)
    target = settings_in(tmp_path / "target")
    restore_backup(tmp_path / "copy", target)
    store = make_store(target)
    again, new = store.register(
        [random_entry(target, "видео 1", seed=1), random_entry(target, "new", seed=9)]
    )
    assert (again.created, new.created) == (False, True)
    store.delete("видео 0")
    assert store.libraries() == {"main": 3}
    _save(tmp_path / "second", target)


def test_what_is_registered_during_the_copy_breaks_nothing(
    tmp_path: Path, source: Settings
) -> None:
    store, stop = make_store(source), threading.Event()

    def write() -> None:
        for number in range(100, 400):
            if stop.is_set():
                return
            store.register([random_entry(source, f"r{number}", seed=number, frames=3)])
            store.delete(f"r{number - 1}") if number % 2 else None

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            _save(tmp_path / f"copy{number}", source)
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        target = settings_in(tmp_path / f"target{number}")
        facts = restore_backup(tmp_path / f"copy{number}", target)
        restored = make_store(target)
        references = restored.list(limit=500).items
        assert len(references) == facts.references
        assert {"видео 0", "видео 1", "видео 2"} <= {reference.id for reference in references}
        frames = sum(reference.frame_count for reference in references)
        assert restored.tables.frames.count_rows() == frames


def test_an_interrupted_restore_is_done_again(tmp_path: Path, source: Settings) -> None:
    _save(tmp_path / "copy", source)
    target = settings_in(tmp_path / "target")
    store = make_store(target)
    # As a kill leaves it: one reference is there, another's frames alone, no ledger.
    store.register([random_entry(target, "видео 0", seed=0)])
    store.register([random_entry(target, "видео 1", seed=1)])
    store.tables.references.delete("id = 'видео 1'")
    restore_backup(tmp_path / "copy", target)
    restored = make_store(target)
    assert restored.libraries() == {"main": 3}
    assert restored.tables.frames.count_rows() == 60


def test_what_is_there_is_never_overwritten(tmp_path: Path, source: Settings) -> None:
    _save(tmp_path / "copy", source)
    with pytest.raises(InvalidRequest, match="already exists"):
        restore_backup(tmp_path / "copy", source)
    target = settings_in(tmp_path / "target")
    make_store(target).register([random_entry(target, "another", seed=77)])
    with pytest.raises(StoreUnavailable, match="another"):
        restore_backup(tmp_path / "copy", target)
    assert not target.ledger_path.exists()
    with pytest.raises(InvalidRequest, match="not empty"):
        _save(tmp_path / "copy", source)


@pytest.mark.parametrize("name", [LEDGER_FILE, REFERENCES_FILE, "spool/ab12"])
def test_a_damaged_copy_is_noticed(tmp_path: Path, source: Settings, name: str) -> None:
    _save(tmp_path / "copy", source)
    damaged = tmp_path / "copy" / name
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    target = settings_in(tmp_path / "target")
    with pytest.raises(InvalidRequest, match="differ"):
        restore_backup(tmp_path / "copy", target)
    assert not target.ledger_path.exists()


def test_an_unfinished_copy_is_none(tmp_path: Path, source: Settings) -> None:
    _save(tmp_path / "copy", source)
    (tmp_path / "copy" / MANIFEST).unlink()
    with pytest.raises(InvalidRequest, match="is not a back-up"):
        restore_backup(tmp_path / "copy", settings_in(tmp_path / "target"))


def test_a_copy_of_another_feature_space_is_refused(tmp_path: Path, source: Settings) -> None:
    _save(tmp_path / "copy", source)
    other = settings_in(tmp_path / "target", "media.reference_rate_hz=2")
    with pytest.raises(FeatureSpaceMismatch):
        restore_backup(tmp_path / "copy", other)


@contextmanager
def serving(service: FakeService) -> Iterator[str]:
    """The HTTP layer over a ledger that this process holds; its address."""
    http_app = service.app(keys_required=True)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(http_app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def test_a_running_service_gives_its_ledger_to_administrators_alone(
    tmp_path: Path, source: Settings
) -> None:
    admin, check = make_key("b", scopes=[Scope.ADMIN]), make_key("c", scopes=[Scope.CHECK])

    def run(*arguments: str, key: str) -> Result:
        environment = {"DUBL_URL": address, "DUBL_API_KEY": key}
        return CliRunner().invoke(app, arguments, env=environment)

    arguments = ["backup", str(tmp_path / "copy"), "--data", str(source.data_dir)]
    with closing(FakeService(source.data_dir)) as service:
        for new in (admin, check):
            service.ledger.keys.add(new.key)
        with serving(service) as address:
            for token, code in ((check.token, "forbidden"), ("dubl_a_b", "unauthorized")):
                refused = run(*arguments, key=token)
                assert (refused.exit_code, code in refused.output) == (1, True), refused.output
            saved = run(*arguments, key=admin.token)
            assert saved.exit_code == 0, saved.output
            listed = run("keys", "list", key=admin.token).output.splitlines()
            made = run("keys", "create", "d", "--scope", "review", key=admin.token)
            assert made.output.startswith("dubl_")
    assert sorted(json.loads(line)["name"] for line in listed) == ["a", "b", "c"]
    assert list(source.spool_dir.glob("*.ledger")) == []
    target = settings_in(tmp_path / "target")
    restore_backup(tmp_path / "copy", target)
    with closing(make_ledger(target)) as ledger:
        assert sorted(key.name for key in ledger.keys.list()) == ["a", "b", "c"]
        assert ledger.get_check("c") == CHECK


def test_the_commands_tell_what_they_did(tmp_path: Path, source: Settings) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments, env={"DUBL_URL": ""})
        assert (result.exit_code == 0) == ("restored" in result.output or "saved" in result.output)
        return result.output

    copy, target = str(tmp_path / "copy"), str(tmp_path / "target")
    assert "saved 3 references" in run("backup", copy, "--data", str(source.data_dir))
    assert "restored 3 references" in run("restore", copy, "--data", target)
    assert "already exists" in run("restore", copy, "--data", target)
    facts = json.loads((tmp_path / "copy" / MANIFEST).read_text())
    assert facts["settings"]["model"] == {"weights": "dubl-compact"}
