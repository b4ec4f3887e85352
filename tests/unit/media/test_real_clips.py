"""Clips of the world outside: all containers and codecs that are at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from dubl.media.deadline import Deadline
from dubl.media.decoder import decord_serves
from dubl.media.decord_backend import DecordReader
from dubl.media.probe import probe_file
from dubl.media.pyav_backend import PyAvReader
from dubl.media.sampling import plan_rows
from dubl.settings import MediaSettings
from dubl.types import Sampling
from tests.unit.media.clips import Decode

SAMPLING = Sampling(rate_hz=1.0, min_frames=8, frame_size=96)


@pytest.fixture(scope="module")
def manifest(shared_data: Path) -> list[Mapping[str, str | float]]:
    """Every twentieth clip, and all of the rarer codecs."""
    clips = json.loads((shared_data / "videos" / "manifest.json").read_text())
    rare = [clip for clip in clips if clip["codec"] != "h264"]
    return clips[::20] + rare


def test_rows_times_and_facts_make_sense(
    shared_data: Path, manifest: list[Mapping[str, str | float]], decode: Decode
) -> None:
    for entry in manifest:
        clip = decode(shared_data / "videos" / str(entry["file"]), rate_hz=1.0, min_frames=8)
        facts = clip.facts
        assert not facts.damaged, entry["file"]
        assert {facts.width, facts.height} == {entry["width"], entry["height"]}
        assert facts.codec == entry["codec"]
        # The manifest counts sound that outlasts the pictures.
        assert 0.85 * float(entry["duration_s"]) < facts.duration_s
        assert facts.duration_s < float(entry["duration_s"]) + 0.2
        step_s = 1.0 if facts.duration_s > 7 else facts.duration_s / 8
        targets = np.arange(max(8, np.ceil(facts.duration_s - 1e-3))) * step_s
        rows = np.abs(clip.timestamps_s[:, None] - targets).argmin(axis=1)
        assert np.all(np.abs(clip.timestamps_s - targets[rows]) <= 0.5)
        assert np.all(np.diff(rows) > 0)
        # A short run of blank rows is left out.
        assert len(targets) - 1 <= len(rows) <= len(targets)
        assert np.all(np.diff(clip.timestamps_s) > 0)


def test_backends_agree_where_decord_may_serve(
    shared_data: Path,
    manifest: list[Mapping[str, str | float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without stand-ins for flashes, which decord has none of."""
    monkeypatch.setattr("dubl.media.pyav_backend.MIN_DIFFERENCE", np.inf)
    settings, compared = MediaSettings(), 0
    for entry in manifest:
        path = str(shared_data / "videos" / str(entry["file"]))
        deadline = Deadline(60)
        probe = probe_file(path, settings=settings, deadline=deadline)
        if not decord_serves(probe, SAMPLING):
            continue
        plan = plan_rows(probe.times_s, probe.duration_s, sampling=SAMPLING)
        ours, theirs = (
            reader.read(path, probe=probe, plan=plan, sampling=SAMPLING, deadline=deadline)
            for reader in (PyAvReader(settings, sparingly=False), DecordReader(settings))
        )
        assert ours.timestamps_s == pytest.approx(theirs.timestamps_s, abs=3e-3)
        assert np.abs(ours.frames.astype(int) - theirs.frames).mean() < 1.0
        compared += 1
    assert compared >= 5
