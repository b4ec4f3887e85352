"""Of several video streams that one is read which players show; of a query the others, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from dubl.media import decoder
from dubl.media.containers import films, open_container
from dubl.media.deadline import Deadline
from dubl.media.decoder import FileDecoder
from dubl.media.sandbox import SandboxedDecoder
from dubl.settings import MediaSettings
from dubl.types import FIRST_STREAM, WHOLE_FRAME, FrameClip, Note, Sampling, VideoSource

SMALL, LARGE = (96, 64), (192, 128)
Track = tuple[tuple[int, int], int, bool]  # size, pictures, default


def write(path: Path, tracks: Sequence[Track]) -> None:
    with av.open(path, "w") as container:
        streams = [container.add_stream("mpeg4", rate=25) for _ in tracks]
        for stream, ((width, height), _, default) in zip(streams, tracks, strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.disposition = Disposition.default if default else Disposition(0)
        for stream, ((width, height), count, _) in zip(streams, tracks, strict=True):
            gray = np.full((height, width, 3), 90, np.uint8)
            pictures = [av.VideoFrame.from_ndarray(gray, format="rgb24") for _ in range(count)]
            for picture in (*pictures, None):
                container.mux(stream.encode(picture))


@pytest.mark.parametrize(
    ("tracks", "read"),
    [
        ([(LARGE, 1, True), (SMALL, 25, False)], 1),  # a preview before the film
        ([(LARGE, 25, False), (SMALL, 25, True)], 1),
        ([(SMALL, 25, False), (LARGE, 25, False)], 1),
        ([(LARGE, 10, False), (LARGE, 25, False)], 1),
        ([(LARGE, 25, False), (LARGE, 25, False)], 0),
    ],
    ids=["a film", "the default one", "the largest", "the longest", "the first"],
)
def test_the_stream_that_players_show_is_read(
    tmp_path: Path, tracks: Sequence[Track], read: int
) -> None:
    path = tmp_path / "film.mkv"
    write(path, tracks)
    with open_container(str(path)) as container:
        assert films(container, settings=MediaSettings(), deadline=Deadline(60)).shown.index == read


FILM, STILL_PICTURE, MOMENT = (LARGE, 50, True), (LARGE, 1, False), (SMALL, 5, False)
QUERY = Sampling(rate_hz=2.0, min_frames=4, frame_size=32, views="parts", every_stream=True)


def decode(path: Path, sampling: Sampling = QUERY) -> FrameClip:
    source = VideoSource(path=str(path), sha256="", size_bytes=1, name=path.name)
    return FileDecoder(MediaSettings()).decode(source, sampling=sampling)


@pytest.mark.parametrize(
    ("tracks", "further"),
    [
        ([FILM, (SMALL, 50, False)], [1]),
        ([(SMALL, 50, False), FILM], [0]),
        ([FILM, (SMALL, 50, False), (SMALL, 40, False)], [1, 2]),
        ([FILM, STILL_PICTURE], []),
        ([FILM, MOMENT], []),
        ([FILM], []),
    ],
    ids=["two", "the first", "three", "a preview", "too short", "one"],
)
def test_every_further_film_of_a_query_is_read_and_told(
    tmp_path: Path, tracks: Sequence[Track], further: list[int]
) -> None:
    path = tmp_path / "film.mkv"
    write(path, tracks)
    clip = decode(path)
    streams = [view - FIRST_STREAM for view in np.unique(clip.views) if view >= FIRST_STREAM]
    assert streams == further
    assert (Note.FURTHER_STREAMS in clip.facts.notes) is bool(further)
    assert Note.UNREAD_STREAMS not in clip.facts.notes
    for place in further:
        rows = clip.views == FIRST_STREAM + place
        assert clip.timestamps_s[rows].tolist() == clip.timestamps_s[clip.views == 0].tolist()


def test_of_a_reference_the_shown_stream_alone_is_read(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    write(path, [FILM, (SMALL, 50, False)])
    clip = decode(path, replace(QUERY, views="whole", every_stream=False))
    assert set(clip.views.tolist()) == {WHOLE_FRAME}


def test_many_streams_of_the_longest_allowed_length_come_from_the_decoding_process(
    tmp_path: Path,
) -> None:
    path = tmp_path / "film.mkv"
    write(path, [(SMALL, 50, False)] * 4)
    source = VideoSource(path=str(path), sha256="", size_bytes=1, name=path.name)
    with SandboxedDecoder(MediaSettings(max_duration_s=2.0)) as sandboxed:
        clip = sandboxed.decode(source, sampling=replace(QUERY, views="whole"))
    assert len(np.unique(clip.views)) == 4


def test_a_further_stream_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder, "MAX_FURTHER_STREAMS", 1)
    path = tmp_path / "film.mkv"
    write(path, [FILM, (SMALL, 50, False), (SMALL, 50, False)])
    clip = decode(path)
    assert set(clip.views.tolist()) == {WHOLE_FRAME, FIRST_STREAM + 1}
    assert {Note.FURTHER_STREAMS, Note.UNREAD_STREAMS} <= set(clip.facts.notes)
