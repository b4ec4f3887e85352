"""A long video is read and embedded in parts, with the answers of one that is read at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubl.assembly import make_evidence_store
from dubl.engine import flow
from dubl.engine.in_process import InProcess
from dubl.footage.scenes import generate_scene_video
from dubl.media.sources import local_source
from dubl.settings import load_settings
from dubl.types import MatchSet, Note, Outcome, Reference, ReferenceDraft

MANY = 10_000  # rows; no film of this test has so many


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    generate_scene_video(path, seed=3, duration_s=20, size=(320, 180))
    return path


def answers(
    film: Path, home: Path, monkeypatch: pytest.MonkeyPatch, *, part_rows: int
) -> tuple[Reference, MatchSet, int]:
    """The film as a reference, the matches of its check, and the number of its pictures."""
    monkeypatch.setattr(flow, "PART_ROWS", part_rows)
    settings = load_settings(
        environment={},
        overrides=[f"data_dir={home}", "media.query_views=whole"],
    )
    source = local_source(film, name="film")
    with InProcess(settings) as process:
        draft = ReferenceDraft(id="film")
        registering = process.flow.register(source, draft, again=False, on_stage=lambda _: None)
        made = process.run(registering).reference
        asked = process.run(process.ask(source))
        assert asked.verdict.outcome is Outcome.DUPLICATE
        assert Note.NOTHING_TO_SEE not in asked.verdict.notes
    pictures = make_evidence_store(settings).reference("film").picture_times_s
    return made, asked.matches, len(pictures)


def test_the_answers_are_the_same(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, found, pictures = answers(film, tmp_path / "whole", monkeypatch, part_rows=MANY)
    parts, found_in_parts, kept = answers(film, tmp_path / "parts", monkeypatch, part_rows=7)
    assert (parts.frame_count, parts.duration_s) == (whole.frame_count, whole.duration_s)
    assert kept == pictures
    for one, other in zip(found_in_parts.matches, found.matches, strict=True):
        assert one.segments == other.segments
        assert one.probability == pytest.approx(other.probability, abs=1e-6)
