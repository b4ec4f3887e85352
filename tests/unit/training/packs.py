"""Small packs of pictures for tests of the training code."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from dubl.footage.textures import procedural_picture
from dubl.footage.video_file import Size, TimedFrame

LICENSES = ("CC0-1.0", "MIT", "no licence file", "MIT; clips cut from public videos")


HELD_OUT = "held/out"


def write_archive(folder: Path, *, count: int, held_out: int = 0, size: int = 96) -> Path:
    """A tar of `count` pictures with its index, the last `held_out` from a source of that name;
    licenses take turns, eight pictures a scene."""
    archive, entries = folder / "images.tar", []
    rng = np.random.default_rng(0)
    with tarfile.open(archive, "w") as tar:
        for index in range(count):
            file = io.BytesIO()
            Image.fromarray(procedural_picture(rng, size=size)).save(file, "PNG")
            member = tarfile.TarInfo(f"images/{index}.jpg")
            member.size = file.tell()
            file.seek(0)
            tar.addfile(member, file)
            entries.append(
                {
                    "file": f"{index}.jpg",
                    "source_repo": HELD_OUT if index >= count - held_out else "some/pictures",
                    "source_path": f"kind{index // 8}/{index}.jpg",
                    "licence": LICENSES[index % len(LICENSES)],
                }
            )
    archive.with_suffix(".json").write_text(json.dumps(entries))
    return archive


def short_scene(
    *, seed: int, duration_s: float, size: Size, frame_rate: float
) -> Iterator[TimedFrame]:
    """A picture every two seconds in place of a generated scene, which takes longer to paint."""
    rng = np.random.default_rng(seed)
    for index in range(int(duration_s / 2)):
        image = procedural_picture(rng, size=min(size) // 2)
        yield TimedFrame(time_s=index / frame_rate, image=image)
