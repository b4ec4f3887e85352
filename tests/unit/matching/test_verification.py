"""Pixels settle what features leave in doubt, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dubl.errors import DecodeTimeout, EvidenceNotKept, SourceForbidden
from dubl.matching import pixels
from dubl.matching.calibration import Calibration
from dubl.matching.decision import MAX_PIXEL_CHECKS, doubtful_references
from dubl.matching.registration import Registration, registered
from dubl.matching.verification import (
    MAX_INSTANTS,
    Verifier,
    instants,
    other_readings,
    query_time,
)
from dubl.settings import PolicySettings
from dubl.types import (
    FIRST_STREAM,
    FrameClip,
    Limit,
    Match,
    MatchSet,
    Reference,
    Sampling,
    Segment,
    StoredVideo,
    Term,
    Uint8Array,
    VideoFacts,
    VideoSource,
    log_odds,
)
from tests.unit.matching.test_pixels import COUNT, take

SOURCE = VideoSource(path="/spool/file", sha256="00", size_bytes=1, name="a.mp4")
POLICY = PolicySettings(second_pass_probability=0.02, sure_probability=0.9)
CALIBRATION = Calibration(
    intercept=0.0,
    weights={},
    floor=0.3,
    level=0.3,
    pixels={"intercept": -2.0, "log_odds": 1.0, "agreement": 6.0},
)
FACTS = VideoFacts(
    duration_s=float(COUNT),
    width=256,
    height=180,
    rotation_deg=0,
    codec="h264",
    container="mp4",
    frame_rate_hz=25.0,
    backend="pyav",
)
SEGMENT = Segment(
    query_start_s=2.0,
    query_end_s=2.0 + COUNT - 1,
    reference_start_s=0.0,
    reference_end_s=float(COUNT - 1),
    similarity=0.6,
)


class Film:
    """A decoder of a query that shows these pictures, one a second from the second second on, and
    of files in an archive, which show theirs from the first on; the last one stays."""

    def __init__(self, pictures: Sequence[Uint8Array], **archive: Sequence[Uint8Array]) -> None:
        self.pictures = pictures
        self.archive = {f"/archive/{name}": film for name, film in archive.items()}
        self.samplings: list[Sampling] = []

    def decode(self, source: VideoSource, *, sampling: Sampling) -> FrameClip:
        assert source == SOURCE or source.path in self.archive
        self.samplings.append(sampling)
        pictures = self.archive.get(source.path, self.pictures)
        first_s = 2 if source == SOURCE else 0
        rows = [min(round(at) - first_s, len(pictures) - 1) for at in sampling.times_s]
        frames = [np.asarray(Image.fromarray(pictures[row]).resize((256, 256))) for row in rows]
        return FrameClip(
            frames=np.stack([np.repeat(one[..., None], 3, axis=2) for one in frames]),
            timestamps_s=np.array(sampling.times_s),
            views=np.zeros(len(rows), dtype=np.uint8),
            facts=FACTS,
        )


class Shelf:
    """What is kept of references: a picture a second, and of some the file."""

    def __init__(self, *, files: bool = False, **films: Sequence[Uint8Array]) -> None:
        self._films = films
        self._files = files

    def reference(self, reference_id: str) -> StoredVideo:
        if reference_id not in self._films:
            raise EvidenceNotKept("nothing is kept")
        return StoredVideo(
            id=reference_id,
            name="r.mp4",
            duration_s=float(COUNT),
            width=256,
            height=180,
            picture_times_s=tuple(float(at) for at in range(COUNT)),
            video_path="",
            media_type="video/mp4",
            kept_at="",
        )

    def reference_picture(self, reference_id: str, at_s: float) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(self._films[reference_id][round(at_s)]).save(buffer, "JPEG", quality=82)
        return buffer.getvalue()

    def reference_file(self, reference_id: str) -> VideoSource:
        if not self._files:
            raise EvidenceNotKept("no file is kept")
        return replace(archived(f"/archive/{reference_id}"), sha256="")


def match(reference_id: str, probability: float, ceiling: float = 1.0) -> Match:
    return Match(
        reference_id=reference_id,
        library="main",
        similarity=0.6,
        probability=probability,
        segments=(SEGMENT,),
        ceiling=ceiling,
        terms=(Term(name="base", value=1.0, log_odds=log_odds(probability)),),
    )


def archived(path: str) -> VideoSource:
    return VideoSource(path=path, sha256=f"sum of {path}", size_bytes=1, name=path)


def nowhere(path: str) -> VideoSource:
    raise SourceForbidden(f"{path} lies outside the allowed folders")


def reference(identifier: str) -> Reference:
    """From an archive."""
    path = f"/archive/{identifier}"
    return Reference(
        id=identifier,
        library="main",
        title="",
        owner="",
        metadata={},
        source=path,
        sha256=f"sum of {path}",
        duration_s=float(COUNT),
        frame_count=COUNT,
        created_at="2026-01-01T00:00:00.000000Z",
    )


def verified(
    film: Film,
    shelf: Shelf,
    *matches: Match,
    open_file: Callable[[str], VideoSource] = nowhere,
) -> dict[str, Match]:
    """Most probable first are the matches that verification is given, and those that it gives."""
    verifier = Verifier(
        shelf, CALIBRATION, sure_probability=POLICY.sure_probability, open_file=open_file
    )
    names = {one.reference_id for one in matches}
    alike = {name: frozenset(names - {name}) for name in names}
    given = MatchSet(matches=matches, index_version=1, alike=alike)
    doubtful = doubtful_references(given, POLICY)
    references = [reference(identifier) for identifier in doubtful]
    found = verifier.verify(SOURCE, given, doubtful, references, decoder=film)
    assert list(found.matches) == sorted(found.matches, key=lambda one: -one.probability)
    for one in found.matches:
        total = sum(term.log_odds for term in one.terms)
        assert total == pytest.approx(log_odds(one.probability), abs=1e-9)
    return {one.reference_id: one for one in found.matches}


def test_a_copy_becomes_sure_and_another_take_unlikely() -> None:
    film, shelf = Film(take(seed=5)), Shelf(copy=take(seed=5), other=take(seed=6))
    found = verified(film, shelf, match("other", 0.7), match("copy", 0.4))
    assert found["copy"].probability > 0.9
    assert found["other"].probability < 0.4
    assert found["copy"].agreement == pytest.approx(1.0, abs=0.05)


def test_pictures_are_registered_once_for_all_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading that agrees best but cannot be registered by itself had no say about its places."""
    calls: list[int] = []

    def counted(*args: Any) -> Registration | None:
        calls.append(1)
        return registered(*args)

    monkeypatch.setattr(pixels, "registered", counted)
    proved = verified(Film(take(seed=5)), Shelf(copy=take(seed=5)), match("copy", 0.7))["copy"]
    assert proved.probability > 0.9
    assert len(calls) == 1


def test_the_same_file_is_sure_without_a_look() -> None:
    film = Film(take(seed=5))
    source = replace(SOURCE, sha256=reference("still").sha256)
    given = MatchSet(
        matches=(match("other", 0.7), match("still", 0.5, ceiling=0.8)), index_version=1
    )
    verifier = Verifier(Shelf(), CALIBRATION, sure_probability=0.9, open_file=nowhere)
    references = [reference("other"), reference("still")]
    found = verifier.verify(source, given, ("other", "still"), references, decoder=film)
    assert [one.reference_id for one in found.matches] == ["still", "other"]
    assert [one.probability for one in found.matches] == [0.999, 0.7]
    assert film.samplings == []


def test_a_copy_that_is_played_backwards_is_seen_as_such() -> None:
    film, shelf = Film(take(seed=5)[::-1]), Shelf(copy=take(seed=5), other=take(seed=6))
    found = verified(film, shelf, match("copy", 0.4), match("other", 0.4))
    assert found["copy"].probability > 0.9
    assert found["copy"].segments[0] == replace(SEGMENT, reversed=True)
    assert found["other"].segments == (SEGMENT,)


def test_a_copy_that_is_played_onwards_stays_so() -> None:
    film, shelf = Film(take(seed=5)), Shelf(copy=take(seed=5))
    assert verified(film, shelf, match("copy", 0.4))["copy"].segments == (SEGMENT,)


@pytest.mark.parametrize(
    ("aligned", "right"),
    [
        pytest.param(
            replace(SEGMENT, reference_end_s=5.8),
            (2.0, 7.8, 0.0, 5.8),
            id="from its beginning on",
        ),
        pytest.param(
            replace(SEGMENT, query_start_s=3.2),
            (3.2, 9.0, 1.2, 7.0),
            id="to its end",
        ),
    ],
)
def test_a_copy_whose_speed_was_misjudged_is_seen_at_its_own(
    aligned: Segment, right: tuple[float, float, float, float]
) -> None:
    film, shelf = Film(take(seed=5)), Shelf(copy=take(seed=5), other=take(seed=6))
    given = [replace(match(name, 0.4), segments=(aligned,)) for name in ("copy", "other")]
    found = verified(film, shelf, *given)
    assert found["copy"].probability > 0.9
    (segment,) = found["copy"].segments
    query_s = segment.query_start_s, segment.query_end_s
    assert (*query_s, segment.reference_start_s, segment.reference_end_s) == pytest.approx(right)
    assert found["other"].probability < 0.4


def test_another_speed_than_its_own_is_left_alone() -> None:
    fast = replace(SEGMENT, query_end_s=2 + (COUNT - 1) / 2)
    assert other_readings(fast) == [replace(fast, reversed=True)]


def test_one_decoding_serves_all_matches() -> None:
    film, shelf = Film(take(seed=5)), Shelf(a=take(seed=5), b=take(seed=6))
    verified(film, shelf, match("a", 0.5), match("b", 0.5))
    (sampling,) = film.samplings
    assert sampling.views == "whole"


def test_what_is_sure_or_unlikely_is_not_looked_at() -> None:
    film, shelf = Film(take(seed=6)), Shelf(sure=take(seed=5), unlikely=take(seed=5))
    found = verified(film, shelf, match("sure", 0.95), match("unlikely", 0.01))
    assert film.samplings == []
    assert found["sure"].probability == 0.95
    assert found["unlikely"].probability == 0.01


def test_of_references_that_are_as_sure_those_stay_that_pixels_prove() -> None:
    """Features do not tell a copy's original from other clips of its scene; versions of it are."""
    film = Film(take(seed=5))
    shelf = Shelf(other=take(seed=6), copy=take(seed=5), version=take(seed=5))
    sure = [match("other", 0.99), match("copy", 0.98), match("version", 0.97)]
    found = verified(film, shelf, *sure)
    assert found["copy"].probability > 0.95
    assert found["version"].probability > 0.95
    assert found["other"].probability <= CALIBRATION.edge_ceiling


def test_of_references_that_are_as_sure_none_counts_if_pixels_prove_none() -> None:
    film = Film(take(seed=5))
    names = ["first", "second", "third", "fourth"]
    shelf = Shelf(**{name: take(seed=6) for name in names})
    chances = (0.99, 0.98, 0.97, 0.85)  # three are compared; the last has the same seconds
    found = verified(film, shelf, *map(match, names, chances))
    assert all(one.probability <= CALIBRATION.edge_ceiling for one in found.values())
    assert sum(one.agreement is not None for one in found.values()) == MAX_PIXEL_CHECKS
    assert {one.limit for one in found.values()} == {Limit.CONTESTED}


def test_references_that_are_as_sure_stay_so_without_pictures() -> None:
    found = verified(Film(take(seed=5)), Shelf(), match("one", 0.99), match("two", 0.98))
    assert [one.probability for one in found.values()] == [0.99, 0.98]


def test_a_copy_in_another_video_stream_is_compared_with_that() -> None:
    class Programs(Film):
        """Shows one take, and has another in its third stream."""

        def decode(self, source: VideoSource, *, sampling: Sampling) -> FrameClip:
            shown = super().decode(source, sampling=sampling)
            if not sampling.every_stream:
                return shown
            third = Film(take(seed=5)).decode(source, sampling=sampling)
            views = np.full(len(third.views), FIRST_STREAM + 2, np.uint8)
            return replace(
                shown,
                frames=np.concatenate([shown.frames, third.frames]),
                timestamps_s=np.concatenate([shown.timestamps_s, third.timestamps_s]),
                views=np.concatenate([shown.views, views]),
            )

    film, shelf = Programs(take(seed=6)), Shelf(copy=take(seed=5), other=take(seed=6))
    copy, other = replace(match("copy", 0.4), video_stream=2), match("other", 0.4)
    found = verified(film, shelf, copy, other)
    assert found["copy"].probability > 0.9
    assert found["other"].probability > 0.9
    wrong = verified(film, shelf, replace(copy, video_stream=None))
    assert wrong["copy"].probability < 0.4


def test_kept_pictures_that_were_cut_off_say_nothing() -> None:
    class CutOff(Shelf):
        def reference_picture(self, reference_id: str, at_s: float) -> bytes:
            return super().reference_picture(reference_id, at_s) if at_s < 5 else b""

    found = verified(Film(take(seed=5)), CutOff(copy=take(seed=5)), match("copy", 0.4))
    assert found["copy"].probability == 0.4


def test_without_kept_pictures_nothing_changes() -> None:
    film = Film(take(seed=5))
    found = verified(film, Shelf(), match("a", 0.5))
    assert film.samplings == []
    assert found["a"].probability == 0.5
    assert found["a"].agreement is None


def test_of_a_reference_from_an_archive_the_file_is_looked_at() -> None:
    film = Film(take(seed=5), copy=take(seed=5), other=take(seed=6))
    found = verified(film, Shelf(), match("other", 0.7), match("copy", 0.4), open_file=archived)
    assert found["copy"].probability > 0.9
    assert found["other"].probability < 0.4
    of_files = film.samplings[:2]
    assert [len(one.times_s) for one in of_files] == [MAX_INSTANTS, MAX_INSTANTS]


def test_kept_pictures_spare_the_file() -> None:
    film, shelf = Film(take(seed=5), copy=take(seed=5)), Shelf(copy=take(seed=5))
    verified(film, shelf, match("copy", 0.4), open_file=archived)
    assert len(film.samplings) == 1


def few(reference_id: str) -> Match:
    """Along a segment that is too short for its kept pictures to tell much."""
    short = replace(SEGMENT, query_end_s=5.0, reference_end_s=3.0)
    return replace(match(reference_id, 0.4), segments=(short,))


def test_where_few_pictures_are_kept_the_kept_file_is_looked_at() -> None:
    film = Film(take(seed=5), copy=take(seed=5), other=take(seed=6))
    shelf = Shelf(files=True, copy=take(seed=5), other=take(seed=6))
    found = verified(film, shelf, few("copy"), few("other"))
    assert found["copy"].probability > 0.9
    assert found["other"].probability < 0.4
    assert [len(one.times_s) for one in film.samplings[:2]] == [MAX_INSTANTS, MAX_INSTANTS]


def test_where_no_file_is_left_few_pictures_must_do() -> None:
    film = Film(take(seed=5))
    found = verified(film, Shelf(copy=take(seed=5)), few("copy"))
    assert found["copy"].probability > 0.9
    assert len(film.samplings) == 1


def test_a_file_that_has_changed_since_says_nothing() -> None:
    def changed(path: str) -> VideoSource:
        return replace(archived(path), sha256="another")

    film = Film(take(seed=5), copy=take(seed=5))
    found = verified(film, Shelf(), match("copy", 0.4), open_file=changed)
    assert found["copy"].probability == 0.4
    assert film.samplings == []


def test_a_file_that_does_not_decode_leaves_the_others_alone() -> None:
    class Damaged(Film):
        def decode(self, source: VideoSource, *, sampling: Sampling) -> FrameClip:
            if source.path == "/archive/damaged":
                raise DecodeTimeout("it is too slow")
            return super().decode(source, sampling=sampling)

    film = Damaged(take(seed=5), damaged=take(seed=5), copy=take(seed=5))
    found = verified(film, Shelf(), match("damaged", 0.7), match("copy", 0.4), open_file=archived)
    assert found["copy"].probability > 0.9
    assert found["damaged"].probability == 0.7


def test_a_query_that_does_not_decode_again_keeps_its_probability() -> None:
    class Stuck(Film):
        def decode(self, source: VideoSource, *, sampling: Sampling) -> FrameClip:
            raise DecodeTimeout(f"{source.name} at {len(sampling.times_s)} times is too slow")

    found = verified(Stuck(take(seed=5)), Shelf(a=take(seed=5)), match("a", 0.5))
    assert found["a"].probability == 0.5


def test_a_shared_intro_stays_below_its_ceiling() -> None:
    film, shelf = Film(take(seed=5)), Shelf(a=take(seed=5))
    found = verified(film, shelf, match("a", 0.5, ceiling=0.8))["a"]
    assert (found.probability, found.limit) == (0.8, Limit.SHARED_EDGE)


def test_instants_are_those_of_kept_pictures_and_not_too_many() -> None:
    times_s = [float(at) for at in range(100)]
    assert instants(times_s, SEGMENT) == times_s[:COUNT]
    long = replace(SEGMENT, reference_end_s=90.0)
    chosen = instants(times_s, long)
    assert len(chosen) == MAX_INSTANTS
    assert (chosen[0], chosen[-1]) == (0.0, 90.0)


def test_times_follow_the_segment_forwards_and_backwards() -> None:
    slow = replace(SEGMENT, query_start_s=10.0, query_end_s=20.0, reference_end_s=5.0)
    assert query_time(1.0, slow) == pytest.approx(12.0)
    assert query_time(1.0, replace(slow, reversed=True)) == pytest.approx(18.0)
