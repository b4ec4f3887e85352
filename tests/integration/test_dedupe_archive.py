"""The search for duplicates inside an archive, as commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.integration.conftest import Clips

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_joined")]


def run(module: str, *arguments: str) -> dict[str, object]:
    command = [sys.executable, "-m", f"pipelines.{module}", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    summary: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return summary


def test_copies_are_clustered_with_their_original_and_nothing_is_compared_again(
    clips: Clips, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    for original in clips.references:
        (archive / f"original {original.name}").write_bytes(original.read_bytes())
    (copy, *_), (part, *_) = clips.queries("recode"), clips.queries("trim")
    (archive / f"copy {copy.name}").write_bytes(copy.read_bytes())
    (archive / f"part {part.name}").write_bytes(part.read_bytes())
    data, out = str(tmp_path / "data"), tmp_path / "duplicates"
    assert run("index_archive", str(archive), "--data", data)["registered"] == 5
    assert run("build_index", "--data", data)["recall"] == 1.0

    first = run("dedupe_archive", "--data", data, "--out", str(out))
    assert first["searched"] == 5
    rows = pq.read_table(out / "duplicates.parquet").to_pylist()
    (original,) = {
        match.reference
        for query in (copy, part)
        for match in clips.truth.queries[query.name].matches
    }
    expected = {f"original {original}", f"copy {copy.name}", f"part {part.name}"}
    assert {row["id"] for row in rows} == expected
    assert {row["cluster"] for row in rows} == {1}
    assert rows[0]["role"] == "keeper"
    assert rows[0]["id"] != f"part {part.name}", "the whole is kept"
    page = (out / "duplicates.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == len(rows)

    again = run("dedupe_archive", "--data", data, "--out", str(out))
    assert (again["searched"], again["compared"]) == (5, first["compared"])
