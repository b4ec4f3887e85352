"""Fingerprints: the features of one video in a file, to be asked about in place of the video.

docs/use/fingerprints.md describes the format: a zip of JSON and numpy arrays. Its first member has
a fixed name, place and content, as in EPUB and OpenDocument, so that the first bytes tell it apart.
Files come from strangers: no size is believed before it is checked, and nothing is unpickled.
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from dubl.contract.strict_json import parse_json
from dubl.errors import (
    FingerprintMismatch,
    InvalidFingerprint,
    UnsafeArchive,
    VideoTooLong,
    VideoTooShort,
)
from dubl.media.archives import require_small_directory
from dubl.media.kinds import FINGERPRINT_TYPE
from dubl.media.sampling import max_rows, plan_rows
from dubl.media.views import MAX_ROWS
from dubl.settings import MediaSettings
from dubl.types import (
    FIRST_STREAM,
    MAX_FURTHER_STREAMS,
    MAX_VIEWS,
    WHOLE_FRAME,
    FeatureSpec,
    Float16Array,
    FrameClip,
    Note,
    Sampling,
    SoundFeatures,
    SoundSpec,
    VideoFacts,
    VideoFeatures,
    VideoSource,
)

FORMAT = 1  # larger: an older program would misread the file
# Of a component of a unit vector, to either side of 0; chosen: rounded vectors keep a cosine of
# .998 with their own, in 5 bits a component.
LEVELS = 80
_KIND, _ABOUT = "mimetype", "about.json"
_MAX_ABOUT_BYTES = 64 * 1024  # chosen, bounds memory
_MAX_NPY_HEADER_BYTES = 512  # of an array's file; chosen, numpy writes 128
_MIN_SHARE = 0.5  # of the planned rows and of the duration that must be there; as of a damaged file
_LENGTHS = (0.9, 1.1)  # of unit vectors after rounding
_MAX_MEMBERS = 16  # chosen: a fingerprint has eight
_DAY = (1980, 1, 1, 0, 0, 0)  # of all members: equal features are equal files
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError),
    *(NotImplementedError, RuntimeError, KeyError),
    UnsafeArchive,
)

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """The features of a video, with its facts and the sampling of its pictures.

    source_sha256, source_bytes: of the video file.
    """

    features: VideoFeatures
    facts: VideoFacts
    sampling: Sampling
    source_sha256: str
    source_bytes: int

    @classmethod
    def of(
        cls, source: VideoSource, clip: FrameClip, features: VideoFeatures, sampling: Sampling
    ) -> Self:
        """Of a decoded and embedded video."""
        return cls(
            features=features,
            facts=clip.facts,
            sampling=_of_pictures(sampling),
            source_sha256=source.sha256,
            source_bytes=source.size_bytes,
        )


class _Source(BaseModel):
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)


class _About(BaseModel):
    """`about.json`. Unknown fields are of later versions that this one may read."""

    format: int
    rows: int = Field(ge=1)
    sound_rows: int | None = Field(default=None, ge=0)
    sound_s: float = Field(default=0.0, ge=0)
    facts: VideoFacts
    sampling: Sampling
    spec: FeatureSpec
    sound_spec: SoundSpec | None = None
    source: _Source


def write_fingerprint(path: Path, fingerprint: Fingerprint) -> None:
    """Writes a new file, or replaces one. Raises OSError."""
    features, sound = fingerprint.features, fingerprint.features.sound
    about = {
        "format": FORMAT,
        "rows": len(features.timestamps_s),
        "sound_rows": None if sound is None else len(sound.times_s),
        "sound_s": 0.0 if sound is None else sound.duration_s,
        "facts": asdict(fingerprint.facts),
        "sampling": asdict(fingerprint.sampling),
        "spec": asdict(features.spec),
        "sound_spec": None if sound is None else asdict(sound.spec),
        "source": {
            "sha256": fingerprint.source_sha256,
            "size_bytes": fingerprint.source_bytes,
        },
    }
    arrays: dict[str, NDArray[Any]] = {
        "timestamps_s": features.timestamps_s,
        "views": features.views,
        "descriptors": _rounded(features.descriptors),
        "region_features": _rounded(features.region_features),
    }
    if sound is not None:
        arrays["sound_times_s"] = sound.times_s
        arrays["sound_descriptors"] = _rounded(sound.descriptors)
    part = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(part, "w") as archive:
        archive.writestr(zipfile.ZipInfo(_KIND, _DAY), FINGERPRINT_TYPE)
        _add(archive, _ABOUT, json.dumps(about, sort_keys=True).encode())
        for name, values in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, values, allow_pickle=False)
            _add(archive, f"{name}.npy", buffer.getvalue())
    part.replace(path)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, _DAY)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, content, compresslevel=9)


def _rounded(vectors: Float16Array) -> NDArray[np.int8]:
    scaled = np.rint(vectors.astype(np.float32) * LEVELS)
    return np.asarray(np.clip(scaled, -127, 127), np.int8)


def read_fingerprint(
    path: Path | str,
    *,
    spec: FeatureSpec,
    sound: SoundSpec | None,
    sampling: Sampling,
    settings: MediaSettings,
) -> Fingerprint:
    """A fingerprint in one feature space, with the rows of a sampling.

    `sound`: None: sound is not compared, and left out. Of a fingerprint of another sampling whole
    frames can be chosen, if it has enough of them. Raises InvalidFingerprint, FingerprintMismatch,
    VideoTooShort, VideoTooLong.
    """
    try:
        require_small_directory(Path(path))
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > _MAX_MEMBERS:
                raise InvalidFingerprint(f"the fingerprint has more than {_MAX_MEMBERS} members")
            about = _about_of(archive)
            _require_space(about, spec, sound)
            _require_duration(about.facts.duration_s, settings)
            most = max(MAX_ROWS, max_rows(settings, sampling)) + MAX_ROWS
            if about.rows > most:
                raise InvalidFingerprint(f"the fingerprint has {about.rows} rows, at most {most}")
            arrays = _arrays_of(archive, about, settings, with_sound=sound is not None)
    except _UNREADABLE as exc:
        raise InvalidFingerprint(f"the fingerprint cannot be read: {exc}") from exc
    return _sampled(_checked(about, arrays), sampling)


def _about_of(archive: zipfile.ZipFile) -> _About:
    content = _member(archive, _ABOUT, most=_MAX_ABOUT_BYTES)
    try:
        fields = parse_json(content)
        version = fields.get("format") if isinstance(fields, dict) else None
        if isinstance(version, int) and version > FORMAT:
            raise FingerprintMismatch(
                f"the fingerprint has format {version}; this version reads {FORMAT}"
            )
        return _About.model_validate(fields)
    except (ValidationError, RecursionError) as exc:
        raise InvalidFingerprint("about.json does not describe a fingerprint") from exc


def _member(archive: zipfile.ZipFile, name: str, *, most: int) -> bytes:
    """The content of a member of at most `most` bytes. Raises InvalidFingerprint."""
    if [one.filename for one in archive.infolist()].count(name) != 1:
        raise InvalidFingerprint(f"the fingerprint needs one {name}")
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidFingerprint(f"{name} is compressed by another method than deflate")
    if info.file_size > most:
        raise InvalidFingerprint(f"{name} unpacks to {info.file_size} bytes, at most {most}")
    with archive.open(info) as file:
        content = file.read(most + 1)
    if len(content) != info.file_size:
        raise InvalidFingerprint(f"{name} is not as long as the archive says")
    return content


def _require_space(about: _About, spec: FeatureSpec, sound: SoundSpec | None) -> None:
    pairs = [(asdict(about.spec), asdict(spec))]
    if sound is not None and about.sound_spec is not None:
        pairs.append((asdict(about.sound_spec), asdict(sound)))
    for theirs, ours in pairs:
        for name, value in ours.items():
            if theirs[name] != value:
                raise FingerprintMismatch(
                    f"the fingerprint has {name} {theirs[name]!r}; this service compares {value!r}"
                )


def _require_duration(duration_s: float, settings: MediaSettings) -> None:
    if not math.isfinite(duration_s) or duration_s < settings.min_duration_s:
        raise VideoTooShort(
            f"the video lasts {duration_s:.2f} s; media.min_duration_s requires "
            f"{settings.min_duration_s:g} s"
        )
    if duration_s > settings.max_duration_s:
        raise VideoTooLong(
            f"the video lasts {duration_s:.0f} s; media.max_duration_s allows "
            f"{settings.max_duration_s:g} s"
        )


def _arrays_of(
    archive: zipfile.ZipFile, about: _About, settings: MediaSettings, *, with_sound: bool
) -> Arrays:
    rows, spec, sound = about.rows, about.spec, about.sound_spec
    wanted: dict[str, tuple[str, tuple[int, ...]]] = {
        "timestamps_s": ("<f8", (rows,)),
        "views": ("|u1", (rows,)),
        "descriptors": ("|i1", (rows, spec.descriptor_dims)),
        "region_features": ("|i1", (rows, spec.regions, spec.region_dims)),
    }
    if with_sound and sound is not None and about.sound_rows is not None:
        if not about.sound_s <= settings.max_duration_s:
            raise InvalidFingerprint("the sound is longer than a video may be")
        if about.sound_rows * sound.step_s > about.facts.duration_s + about.sound_s + 1:
            raise InvalidFingerprint(f"the fingerprint has {about.sound_rows} windows of sound")
        wanted["sound_times_s"] = ("<f8", (about.sound_rows,))
        wanted["sound_descriptors"] = ("|i1", (about.sound_rows, sound.dims))
    return {name: _array(archive, name, *one) for name, one in wanted.items()}


def _array(
    archive: zipfile.ZipFile, name: str, kind: str, shape: tuple[int, ...]
) -> NDArray[np.generic]:
    size = math.prod(shape) * np.dtype(kind).itemsize
    # What numpy writes, and nothing else: its reader would evaluate what somebody else has written.
    expected = io.BytesIO()
    fields = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(expected, fields)
    header = expected.getvalue()
    content = _member(archive, f"{name}.npy", most=size + _MAX_NPY_HEADER_BYTES)
    if not content.startswith(header) or len(content) != len(header) + size:
        raise InvalidFingerprint(f"{name}.npy is not an array {kind} {list(shape)}")
    values = content[len(header) :]
    return np.frombuffer(values, dtype=kind).reshape(shape)


def _checked(about: _About, arrays: Arrays) -> Fingerprint:
    """Raises InvalidFingerprint for values that no video has."""
    times_s = np.asarray(arrays["timestamps_s"], np.float64)
    views = np.asarray(arrays["views"], np.uint8)
    _require_times(about, times_s, views)
    facts = about.facts
    sound = None
    if "sound_times_s" in arrays and about.sound_spec is not None:
        heard_s = np.asarray(arrays["sound_times_s"], np.float64)
        if not _ascending(heard_s) or not math.isfinite(about.sound_s):
            raise InvalidFingerprint("the times of the sound are not ascending seconds")
        sound = SoundFeatures(
            descriptors=_unit(arrays["sound_descriptors"]),
            times_s=heard_s,
            duration_s=about.sound_s,
            spec=about.sound_spec,
        )
    # Nothing to see is what a service says of features that it has itself looked at.
    own = (Note.FINGERPRINT, Note.NEEDS_VIDEO, Note.NOTHING_TO_SEE)
    features = VideoFeatures(
        descriptors=_unit(arrays["descriptors"]),
        region_features=_unit(arrays["region_features"]),
        timestamps_s=times_s,
        views=views,
        duration_s=facts.duration_s,
        spec=about.spec,
        damaged=facts.damaged,
        notes=(*(note for note in facts.notes if note not in own), Note.FINGERPRINT),
        sound=sound,
    )
    return Fingerprint(
        features=features,
        facts=facts,
        sampling=about.sampling,
        source_sha256=about.source.sha256,
        source_bytes=about.source.size_bytes,
    )


def _require_times(about: _About, times_s: NDArray[np.float64], views: NDArray[np.uint8]) -> None:
    duration_s, sampling = about.facts.duration_s, about.sampling
    if not (math.isfinite(sampling.rate_hz) and sampling.rate_hz > 0):
        raise InvalidFingerprint("the sampling rate is not a number")
    if not np.isfinite(times_s).all() or times_s.min() < 0:
        raise InvalidFingerprint("the times are not seconds")
    if times_s.max() > duration_s + 1 / sampling.rate_hz:
        raise InvalidFingerprint(f"a picture is at {times_s.max():.1f} of {duration_s:.1f} s")
    known = {*range(MAX_VIEWS), *(FIRST_STREAM + n for n in range(MAX_FURTHER_STREAMS + 1))}
    if not set(views.tolist()) <= known or WHOLE_FRAME not in views:
        raise InvalidFingerprint("the views are not those of a video")
    if not all(_ascending(times_s[views == view]) for view in np.unique(views)):
        raise InvalidFingerprint("the times of a view are not ascending")
    whole_s = times_s[views == WHOLE_FRAME]
    planned = max(duration_s * min(sampling.rate_hz, MAX_ROWS / duration_s), 1.0)
    few = len(whole_s) < planned * _MIN_SHARE
    if (few or whole_s[-1] - whole_s[0] < duration_s * _MIN_SHARE - 1 / sampling.rate_hz) and (
        not about.facts.damaged
    ):
        raise InvalidFingerprint(
            f"{len(whole_s)} pictures up to {whole_s[-1]:.1f} s are not a video of "
            f"{duration_s:.1f} s"
        )


def _ascending(times_s: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(times_s).all() and (np.diff(times_s) > 0).all())


def _unit(rounded: NDArray[np.generic]) -> Float16Array:
    """Unit vectors of rounded ones. Raises InvalidFingerprint if they were none."""
    vectors = rounded.astype(np.float32) / LEVELS
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if lengths.size and not (_LENGTHS[0] <= lengths.min() and lengths.max() <= _LENGTHS[1]):
        raise InvalidFingerprint("the features are not unit vectors")
    return np.asarray(vectors / np.maximum(lengths, 1e-6), np.float16)


def _of_pictures(sampling: Sampling) -> Sampling:
    """The sampling without what it says of sound."""
    return replace(sampling, sound=False, sound_alone=False)


def _sampled(fingerprint: Fingerprint, sampling: Sampling) -> Fingerprint:
    """The rows that decoding with `sampling` would give. Raises FingerprintMismatch."""
    own, wanted = fingerprint.sampling, _of_pictures(sampling)
    if own == wanted:
        return fingerprint
    if wanted.views != "whole" or own.rate_hz < wanted.rate_hz:
        raise FingerprintMismatch(
            f"the fingerprint has views '{own.views}' at {own.rate_hz:g} Hz; this service compares "
            f"'{wanted.views}' at {wanted.rate_hz:g} Hz"
        )
    features = fingerprint.features
    whole = np.flatnonzero(features.views == WHOLE_FRAME)
    times_s = features.timestamps_s[whole]
    plan = plan_rows(times_s - times_s[0], features.duration_s, sampling=wanted)
    places = np.searchsorted(times_s - times_s[0], plan.picture_times_s)
    rows = whole[np.unique(np.clip(places, 0, len(whole) - 1))]
    features = replace(
        features,
        descriptors=features.descriptors[rows],
        region_features=features.region_features[rows],
        timestamps_s=features.timestamps_s[rows],
        views=features.views[rows],
    )
    return replace(fingerprint, features=features, sampling=wanted)
