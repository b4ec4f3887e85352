"""Of several video streams that one is read which players show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from dubl.media.containers import open_container, video_stream
from dubl.media.deadline import Deadline
from dubl.settings import MediaSettings

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
        assert (
            video_stream(container, settings=MediaSettings(), deadline=Deadline(60)).index == read
        )
