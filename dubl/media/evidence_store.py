"""The evidence store: small pictures, features of queries, and files, for reviewers.

One folder for each video:

    kept/queries/3f/3f9a…/about.json  pictures.bin  features.npz  video
    kept/references/…/about.json  pictures.bin  video

A folder gets its final name when it is complete. Names are hashes of ids, as ids are untrusted.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dubl.errors import EvidenceNotKept, StoreUnavailable
from dubl.settings import EvidenceSettings
from dubl.types import (
    WHOLE_FRAME,
    FeatureSpec,
    FrameClip,
    SoundFeatures,
    SoundSpec,
    StoredVideo,
    Thumbnails,
    Uint8Array,
    VideoFacts,
    VideoFeatures,
    VideoSource,
)

logger = logging.getLogger(__name__)

QUERIES, REFERENCES = "queries", "references"
ABOUT, PICTURES, FEATURES, VIDEO = "about.json", "pictures.bin", "features.npz", "video"
MEDIA_TYPES = {
    "mov": "video/mp4",
    "mp4": "video/mp4",
    "matroska": "video/webm",  # browsers try to play it, but refuse video/x-matroska
    "webm": "video/webm",
    "ogg": "video/ogg",
}
UNKNOWN_TYPE = "application/octet-stream"
LEFTOVER_S = 3600.0  # age of an unfinished folder that a crash must have left; chosen

MAX_PICTURES = 1200  # of one video; chosen: 20 minutes of a reference at one a second
QUALITY = 82  # of JPEG, in percent; chosen


class EvidenceStore:
    """A folder on a disk that all replicas share. Of concurrent writers, the last one wins."""

    def __init__(self, folder: Path, settings: EvidenceSettings, *, spool_dir: Path) -> None:
        """Files in `spool_dir` are stored in the video's folder; others stay where they are."""
        self._folder = folder
        self._settings = settings
        self._spool_dir = spool_dir.resolve()

    def keep_query(
        self,
        check_id: str,
        source: VideoSource,
        clip: FrameClip | Thumbnails | None,
        features: VideoFeatures,
    ) -> None:
        """Stores the evidence of a check; without a `clip` features alone.

        Raises StoreUnavailable.
        """
        with self._new_folder(QUERIES, check_id) as folder:
            _write_features(folder / FEATURES, features)
            if clip is None:
                _write_about(folder, _unseen(check_id, source, features.duration_s), [0])
            else:
                self._write(folder, check_id, source, clip)

    def keep_reference(
        self, reference_id: str, source: VideoSource, clip: FrameClip | Thumbnails
    ) -> None:
        """Stores the evidence of a reference. Raises StoreUnavailable."""
        with self._new_folder(REFERENCES, reference_id) as folder:
            self._write(folder, reference_id, source, clip)

    def query(self, check_id: str) -> StoredVideo:
        """Raises EvidenceNotKept."""
        return self._read(QUERIES, check_id)[0]

    def reference(self, reference_id: str) -> StoredVideo:
        """Raises EvidenceNotKept."""
        return self._read(REFERENCES, reference_id)[0]

    def query_features(self, check_id: str) -> VideoFeatures:
        """Raises EvidenceNotKept."""
        try:
            return _read_features(self._place(QUERIES, check_id) / FEATURES)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise _not_kept(QUERIES, check_id) from exc

    def query_picture(self, check_id: str, at_s: float) -> bytes:
        """JPEG of the stored frame nearest to `at_s`. Raises EvidenceNotKept."""
        return self._picture(QUERIES, check_id, at_s)

    def reference_picture(self, reference_id: str, at_s: float) -> bytes:
        """JPEG of the stored frame nearest to `at_s`. Raises EvidenceNotKept."""
        return self._picture(REFERENCES, reference_id, at_s)

    def reference_file(self, reference_id: str) -> VideoSource:
        """The stored copy of an uploaded or fetched file, without its SHA-256.

        Raises EvidenceNotKept.
        """
        path = self._place(REFERENCES, reference_id) / VIDEO
        try:
            size_bytes = path.stat().st_size
        except OSError as exc:
            raise _not_kept(REFERENCES, reference_id) from exc
        return VideoSource(path=str(path), sha256="", size_bytes=size_bytes, name=reference_id)

    def keep_again(self, earlier_id: str, check_id: str) -> None:
        """Stores the evidence of an earlier check for another check of the same video.

        Raises EvidenceNotKept, StoreUnavailable.
        """
        about, ends = self._read(QUERIES, earlier_id)
        with self._new_folder(QUERIES, check_id) as folder:
            shutil.copytree(
                self._place(QUERIES, earlier_id), folder, copy_function=os.link, dirs_exist_ok=True
            )
            inside = VIDEO if (folder / VIDEO).exists() else about.video_path
            (folder / ABOUT).unlink()  # a link to the earlier check's file
            _write_about(folder, replace(about, id=check_id, video_path=inside), ends)

    def remove_query(self, check_id: str) -> None:
        shutil.rmtree(self._place(QUERIES, check_id), ignore_errors=True)

    def remove_reference(self, reference_id: str) -> None:
        shutil.rmtree(self._place(REFERENCES, reference_id), ignore_errors=True)

    def sweep(self, *, retention_s: float, held: Collection[str] = ()) -> int:
        """Removes queries older than `retention_s`, and unfinished folders; returns the number of
        removed videos. Queries of checks that are `held` stay.

        Above `max_bytes` it also removes the oldest queries, then the oldest reference files.
        """
        now = time.time()
        removed = 0
        kept = {self._place(QUERIES, check_id) for check_id in held}
        queries = sorted(set(self._videos(QUERIES)) - kept, key=_age)
        for folder in [*queries]:
            if now - _age(folder) > retention_s:
                shutil.rmtree(folder, ignore_errors=True)
                queries.remove(folder)
                removed += 1
        for leftover in self._folder.glob("*/.new-*"):
            if now - _age(leftover) > LEFTOVER_S:
                shutil.rmtree(leftover, ignore_errors=True)
        references = sorted(self._videos(REFERENCES), key=_age)
        size_bytes = sum(map(_size_bytes, [*queries, *kept, *references]))
        files = [folder / VIDEO for folder in references if (folder / VIDEO).exists()]
        for victim in [*queries, *files]:
            if size_bytes <= self._settings.max_bytes:
                break
            size_bytes -= _size_bytes(victim)
            _remove(victim)
            removed += 1
        if removed:
            logger.info("removed the evidence of %d videos", removed)
        return removed

    def _videos(self, kind: str) -> Iterator[Path]:
        return (path.parent for path in self._folder.glob(f"{kind}/??/*/{ABOUT}"))

    def _place(self, kind: str, identifier: str) -> Path:
        name = hashlib.sha256(identifier.encode()).hexdigest()[:32]
        return self._folder / kind / name[:2] / name

    @contextmanager
    def _new_folder(self, kind: str, identifier: str) -> Iterator[Path]:
        place = self._place(kind, identifier)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder / kind))
            try:
                yield folder
                shutil.rmtree(place, ignore_errors=True)
                folder.replace(place)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError as exc:
            raise StoreUnavailable(f"evidence could not be stored: {exc.strerror}") from exc

    def _write(
        self, folder: Path, identifier: str, source: VideoSource, clip: FrameClip | Thumbnails
    ) -> None:
        shown = thumbnails(clip) if isinstance(clip, FrameClip) else clip
        (folder / PICTURES).write_bytes(b"".join(shown.pictures))
        about = StoredVideo(
            id=identifier,
            name=source.name,
            duration_s=clip.facts.duration_s,
            width=clip.facts.width,
            height=clip.facts.height,
            picture_times_s=shown.times_s,
            video_path=self._keep_file(folder, Path(source.path)),
            media_type=_media_type(clip.facts.container),
            kept_at=_now(),
        )
        _write_about(folder, about, np.cumsum([0, *map(len, shown.pictures)]).tolist())

    def _keep_file(self, folder: Path, path: Path) -> str:
        """The `video_path` to store: the file's name in the folder, another path, or ""."""
        if not self._settings.keep_videos:
            return ""
        if path.parent.resolve() != self._spool_dir:
            return str(path)
        try:
            os.link(path, folder / VIDEO)  # the spool removes its own name later
        except OSError:
            shutil.copyfile(path, folder / VIDEO)
        return VIDEO

    def _read(self, kind: str, identifier: str) -> tuple[StoredVideo, list[int]]:
        place = self._place(kind, identifier)
        try:
            content = json.loads((place / ABOUT).read_text(encoding="utf-8"))
            about = content["about"]
            about["picture_times_s"] = tuple(about["picture_times_s"])
            if about["video_path"]:
                path = place / about["video_path"]
                about["video_path"] = str(path) if path.is_file() else ""
            return StoredVideo(**about), content["ends"]
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise _not_kept(kind, identifier) from exc

    def _picture(self, kind: str, identifier: str, at_s: float) -> bytes:
        kept, ends = self._read(kind, identifier)
        if not kept.picture_times_s:
            raise _not_kept(kind, identifier)
        times_s = np.array(kept.picture_times_s)
        nearest = int(np.abs(times_s - at_s).argmin())
        try:
            with (self._place(kind, identifier) / PICTURES).open("rb") as file:
                file.seek(ends[nearest])
                return file.read(ends[nearest + 1] - ends[nearest])
        except OSError as exc:
            raise _not_kept(kind, identifier) from exc


def _write_about(folder: Path, about: StoredVideo, ends: list[int]) -> None:
    text = json.dumps({"about": asdict(about), "ends": ends}, ensure_ascii=False)
    (folder / ABOUT).write_text(text, encoding="utf-8")


def _unseen(identifier: str, source: VideoSource, duration_s: float) -> StoredVideo:
    """Of a fingerprint: no pictures and no file."""
    return StoredVideo(
        id=identifier,
        name=source.name,
        duration_s=duration_s,
        width=0,
        height=0,
        picture_times_s=(),
        video_path="",
        media_type="",
        kept_at=_now(),
    )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _not_kept(kind: str, identifier: str) -> EvidenceNotKept:
    what = "check" if kind == QUERIES else "reference"
    return EvidenceNotKept(f"no evidence is stored for {what} '{identifier}'")


def _media_type(container: str) -> str:
    """The media type for FFmpeg's names of a container ("mov,mp4,m4a,3gp")."""
    return next(
        (MEDIA_TYPES[one] for one in container.split(",") if one in MEDIA_TYPES), UNKNOWN_TYPE
    )


def _write_features(path: Path, features: VideoFeatures) -> None:
    # Not compressed: float16 features would become only 10 % smaller.
    with path.open("wb") as file:
        np.savez(
            file,
            descriptors=features.descriptors,
            region_features=features.region_features,
            timestamps_s=features.timestamps_s,
            views=features.views,
            duration_s=np.float64(features.duration_s),
            spec=np.array(json.dumps(asdict(features.spec))),
            **_sound_arrays(features.sound),
        )


def _sound_arrays(sound: SoundFeatures | None) -> dict[str, Any]:
    if sound is None:
        return {}
    return {
        "sound_descriptors": sound.descriptors,
        "sound_times_s": sound.times_s,
        "sound_spec": np.array(json.dumps(asdict(sound.spec))),
    }


def _read_features(path: Path) -> VideoFeatures:
    with np.load(path, allow_pickle=False) as arrays:
        return VideoFeatures(
            descriptors=arrays["descriptors"],
            region_features=arrays["region_features"],
            timestamps_s=arrays["timestamps_s"],
            views=arrays["views"],
            duration_s=float(arrays["duration_s"]),
            spec=FeatureSpec(**json.loads(str(arrays["spec"]))),
            sound=SoundFeatures(
                descriptors=arrays["sound_descriptors"],
                times_s=arrays["sound_times_s"],
                duration_s=float(arrays["duration_s"]),
                spec=SoundSpec(**json.loads(str(arrays["sound_spec"]))),
            )
            if "sound_spec" in arrays
            else None,
        )


def _age(path: Path) -> float:
    """Modification time in seconds since 1970; now, if the file no longer exists."""
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def _size_bytes(path: Path) -> int:
    files = [path] if path.is_file() else path.glob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def _remove(path: Path) -> None:
    if path.is_file():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def thumbnails(clip: FrameClip, *, is_part: bool = False) -> Thumbnails:
    """JPEGs of whole frames, evenly thinned to at most MAX_PICTURES a video. Of a part, one of each
    stretch of the video, if it has so many."""
    rows = np.flatnonzero(clip.views == WHOLE_FRAME)
    if is_part:
        stretches = clip.timestamps_s[rows] * MAX_PICTURES // clip.facts.duration_s
        rows = rows[np.unique(stretches, return_index=True)[1]]
    rows = rows[:: max(1, -(-len(rows) // MAX_PICTURES))]
    return Thumbnails(
        times_s=tuple(round(float(time_s), 4) for time_s in clip.timestamps_s[rows]),
        pictures=tuple(_jpeg(clip.frames[row], clip.facts) for row in rows),
        facts=clip.facts,
    )


def together(parts: Sequence[Thumbnails]) -> Thumbnails:
    """Those of a whole video from those of its parts."""
    return Thumbnails(
        times_s=tuple(time_s for part in parts for time_s in part.times_s),
        pictures=tuple(picture for part in parts for picture in part.pictures),
        facts=parts[0].facts,
    )


def _jpeg(frame: Uint8Array, facts: VideoFacts) -> bytes:
    picture = Image.fromarray(frame).resize(facts.size_within(frame.shape[0]))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
