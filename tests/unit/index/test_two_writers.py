"""Claims about two processes that write to one library at the same time."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pytest

from dubl.index.store import LibraryStore
from tests.unit.index.videos import SETTINGS, SPEC

ROUNDS = 8
FRAMES = 20
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("scheme", ["", "file://"], ids=["folder", "object store"])
def test_what_two_processes_acknowledge_is_there_exactly_once(tmp_path: Path, scheme: str) -> None:
    uri = f"{scheme}{tmp_path / 'library'}"
    store = LibraryStore(uri, spec=SPEC, settings=SETTINGS)
    acknowledged = _run_writers(uri)
    references = store.list(limit=1000).items
    ids = [reference.id for reference in references]
    assert len(ids) == len(set(ids))
    assert acknowledged == set(ids)
    contents = Counter(reference.sha256 for reference in references)
    assert set(contents.values()) == {1}
    assert len(contents) == ROUNDS * (5 + 1 + 2)
    owners = store.tables.frames.search().select(["reference_id"]).to_arrow()["reference_id"]
    frames = {row["values"]: row["counts"] for row in pc.value_counts(owners).to_pylist()}
    assert frames == dict.fromkeys(ids, FRAMES)


def _run_writers(uri: str) -> set[str]:
    """Ids that the writers' registrations named."""
    script = str(Path(__file__).with_name("two_writers.py"))
    writers = [
        subprocess.Popen(
            [sys.executable, script, uri, name, str(ROUNDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={"PYTHONPATH": str(REPOSITORY)},
        )
        for name in ("first", "second")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    outputs = [writer.communicate()[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    return {line for output in outputs for line in output.splitlines()}
