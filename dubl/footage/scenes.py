"""Videos made by code: a moving camera over procedural stills, with cuts and moving objects.

A scene is painted once as a large still; each frame is a window of it, warped by the camera
(pan, zoom, rotation), with a few objects that move across.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw

from dubl.footage.textures import PAINTERS, Painter, dead_leaves, palette
from dubl.footage.video_file import Codec, Encoding, Size, TimedFrame, write_video

_STILL_SCALE = 1.7  # side of the still over side of the frame: room for the camera
_LIBRARY_CODECS: tuple[tuple[Codec, str], ...] = (("h264", "mp4"), ("vp9", "webm"), ("hevc", "mp4"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One shot. `camera` float64 [2, 4]: (x, y, zoom, angle) at the start and at the end, with
    x, y in still pixels and the angle in radians. `objects` cross the frame along `paths`
    [K, 2, 2]: (x, y) at the start and at the end, as parts of the frame.
    """

    still: PillowImage.Image
    camera: NDArray[np.float64]
    objects: Sequence[PillowImage.Image]
    paths: NDArray[np.float64]
    start_s: float
    end_s: float

    def frame_at(self, time_s: float, size: Size) -> PillowImage.Image:
        """Shows the scene at `time_s` of the video, as a picture of `size` (width, height)."""
        part = (time_s - self.start_s) / (self.end_s - self.start_s)
        eased = part * part * (3 - 2 * part)
        x, y, zoom, angle = self.camera[0] + (self.camera[1] - self.camera[0]) * eased
        x += 2 * np.sin(5.1 * time_s)
        y += 2 * np.sin(6.7 * time_s + 1)
        cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
        middle_x, middle_y = size[0] / 2, size[1] / 2
        matrix = (
            *(cos, -sin, x - cos * middle_x + sin * middle_y),
            *(sin, cos, y - sin * middle_x - cos * middle_y),
        )
        frame = self.still.transform(
            size, PillowImage.Transform.AFFINE, matrix, PillowImage.Resampling.BILINEAR
        )
        self._paste_objects(frame, part)
        return frame

    def _paste_objects(self, frame: PillowImage.Image, part: float) -> None:
        for sprite, path in zip(self.objects, self.paths, strict=True):
            x, y = path[0] + (path[1] - path[0]) * part
            y += 0.03 * np.sin(9 * part + 20 * path[0, 1])
            left = int(x * frame.width) - sprite.width // 2
            frame.paste(sprite, (left, int(y * frame.height) - sprite.height // 2), sprite)


def generate_scene_video(
    path: Path,
    *,
    seed: int,
    duration_s: float,
    size: Size = (640, 360),
    frame_rate: float = 25,
    codec: Codec = "h264",
) -> None:
    """Writes a clip of `duration_s` with a cut every 2 to 6 seconds."""
    frames = scene_frames(seed=seed, duration_s=duration_s, size=size, frame_rate=frame_rate)
    write_video(path, frames, frame_rate=frame_rate, encoding=Encoding(codec=codec))


def scene_frames(
    *, seed: int, duration_s: float, size: Size, frame_rate: float
) -> Iterator[TimedFrame]:
    """Yields the frames of the clip of this seed, scene by scene."""
    rng = np.random.default_rng([seed, 0x5CE7E])
    edges = _cuts(duration_s, rng)
    painters = _painters(len(edges) - 1, rng)
    index = 0
    for painter, start_s, end_s in zip(painters, edges, edges[1:], strict=False):
        scene = _scene(painter, start_s, end_s, size, rng)
        while index / frame_rate < min(end_s, duration_s) - 1e-9:
            time_s = index / frame_rate
            yield TimedFrame(time_s=time_s, image=np.asarray(scene.frame_at(time_s, size)))
            index += 1


def generate_library(
    folder: Path,
    *,
    count: int,
    seed: int,
    size: Size = (640, 360),
    shortest_s: float = 8,
    longest_s: float = 30,
) -> list[Path]:
    """Writes `count` clips of mixed lengths, rates and codecs (H.264, VP9, HEVC) to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 0x11B])
    paths = []
    for place in range(count):
        codec, suffix = _LIBRARY_CODECS[place % len(_LIBRARY_CODECS)]
        path = folder / f"scene_{seed:02d}_{place:03d}.{suffix}"
        generate_scene_video(
            path,
            seed=int(rng.integers(2**31)),
            duration_s=round(float(rng.uniform(shortest_s, longest_s)), 1),
            size=size,
            frame_rate=float(rng.choice([24, 25, 30])),
            codec=codec,
        )
        paths.append(path)
    return paths


def _cuts(duration_s: float, rng: np.random.Generator) -> list[float]:
    """Times of the cuts with both ends; a clip of three seconds or more has at least one."""
    edges = [0.0]
    longest_s = min(6.0, max(duration_s * 0.6, 1.0))
    while edges[-1] < duration_s:
        edges.append(edges[-1] + float(rng.uniform(min(2.0, longest_s * 0.6), longest_s)))
    edges[-1] = duration_s
    if len(edges) > 2 and edges[-1] - edges[-2] < 0.8:
        del edges[-2]
    return edges


def _painters(count: int, rng: np.random.Generator) -> list[Painter]:
    order: list[int] = []
    while len(order) < count:
        order.extend(int(place) for place in rng.permutation(len(PAINTERS)))
    return [PAINTERS[place] for place in order[:count]]


def _scene(
    painter: Painter, start_s: float, end_s: float, size: Size, rng: np.random.Generator
) -> Scene:
    still_size = (round(size[0] * _STILL_SCALE), round(size[1] * _STILL_SCALE))
    objects = [_object(size, rng) for _ in range(rng.integers(1, 4))]
    return Scene(
        still=painter(still_size, rng),
        camera=_camera(still_size, rng),
        objects=objects,
        paths=rng.uniform((-0.1, 0.25), (1.1, 0.85), (len(objects), 2, 2)),
        start_s=start_s,
        end_s=end_s,
    )


def _camera(still_size: Size, rng: np.random.Generator) -> NDArray[np.float64]:
    """A way for the camera that shows the still almost alone (corners may go black)."""
    low = (0.36, 0.36, 1.05, -0.09)
    high = (0.64, 0.64, 1.5, 0.09)
    way = rng.uniform(low, high, (2, 4))
    way[:, :2] *= still_size
    return way


def _object(size: Size, rng: np.random.Generator) -> PillowImage.Image:
    """A textured blob with an outline, RGBA."""
    side = int(size[1] * rng.uniform(0.2, 0.5))
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    radii = side / 2 * rng.uniform(0.55, 0.98, 12)
    corners = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1) + side / 2
    outline = [(float(x), float(y)) for x, y in corners]
    texture = dead_leaves((side, side), rng)
    tint = PillowImage.new("RGB", (side, side), tuple(int(v) for v in palette(1, rng)[0]))
    body = PillowImage.blend(texture, tint, 0.6)
    mask = PillowImage.new("L", (side, side), 0)
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    ImageDraw.Draw(body).line([*outline, outline[0]], fill=(20, 20, 20), width=3)
    body.putalpha(mask)
    return body
