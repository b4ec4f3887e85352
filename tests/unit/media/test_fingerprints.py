"""Fingerprints: what is written is read, and whatever lies is refused by name."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dubl.errors import (
    DublError,
    FingerprintMismatch,
    InvalidFingerprint,
    VideoTooLong,
    VideoTooShort,
)
from dubl.media.fingerprints import FORMAT, Fingerprint, read_fingerprint, write_fingerprint
from dubl.media.kinds import FINGERPRINT_TYPE, is_fingerprint, is_video
from dubl.media.sources import local_source
from dubl.settings import MediaSettings
from dubl.types import (
    FeatureSpec,
    Note,
    Sampling,
    SoundFeatures,
    SoundSpec,
    VideoFacts,
    VideoFeatures,
)

ROWS, DURATION_S = 40, 20.0
SPEC = FeatureSpec(
    model_id="m",
    weights_sha256="0" * 64,
    rate_hz=1.0,
    frame_size=32,
    resize="squash",
    descriptor_dims=8,
    regions=2,
    region_dims=6,
)
SOUND = SoundSpec(
    model_id="s", weights_sha256="1" * 64, sample_rate_hz=8000, window_s=2.0, step_s=0.5, dims=5
)
QUERY = Sampling(rate_hz=2.0, min_frames=4, frame_size=32, views="parts", every_stream=True)
REFERENCE = Sampling(rate_hz=1.0, min_frames=4, frame_size=32, sound=True)
Members = dict[str, bytes]


def units(*shape: int) -> np.ndarray:
    vectors = np.random.default_rng(5).normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float16)


def fingerprint() -> Fingerprint:
    """Forty whole frames at two a second, and a part of the first four."""
    times_s = np.arange(ROWS) / 2
    facts = VideoFacts(
        duration_s=DURATION_S,
        width=64,
        height=32,
        rotation_deg=0,
        codec="h264",
        container="mp4",
        frame_rate_hz=25.0,
        backend="pyav",
        notes=(Note.JOINED,),
    )
    sound = SoundFeatures(
        descriptors=units(6, 5), times_s=np.arange(6) / 2, duration_s=DURATION_S, spec=SOUND
    )
    features = VideoFeatures(
        descriptors=units(ROWS + 4, 8),
        region_features=units(ROWS + 4, 2, 6),
        timestamps_s=np.append(times_s, times_s[:4]),
        views=np.append(np.zeros(ROWS), np.ones(4)).astype(np.uint8),
        duration_s=DURATION_S,
        spec=SPEC,
        sound=sound,
    )
    return Fingerprint(
        features=features,
        facts=facts,
        sampling=dataclasses.replace(QUERY),
        source_sha256="ab" * 32,
        source_bytes=1000,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_fingerprint(tmp_path / "a.dubl", fingerprint())
    return tmp_path / "a.dubl"


def read(path: Path, *, sampling: Sampling = QUERY, sound: SoundSpec | None = SOUND) -> Fingerprint:
    return read_fingerprint(
        path, spec=SPEC, sound=sound, sampling=sampling, settings=MediaSettings()
    )


def test_what_is_written_is_read_but_for_rounding(path: Path) -> None:
    wanted, found = fingerprint(), read(path)
    assert (found.facts, found.source_sha256) == (wanted.facts, wanted.source_sha256)
    for name in ("descriptors", "region_features"):
        given, got = (getattr(one.features, name).astype(float) for one in (wanted, found))
        assert (given * got).sum(-1).min() > 0.995
        assert np.abs(np.linalg.norm(got, axis=-1) - 1).max() < 2e-3
    assert np.array_equal(found.features.timestamps_s, wanted.features.timestamps_s)
    assert np.array_equal(found.features.views, wanted.features.views)
    assert found.features.notes == (Note.JOINED, Note.FINGERPRINT)
    assert found.features.sound is not None
    assert np.array_equal(found.features.sound.times_s, np.arange(6) / 2)


def test_equal_features_are_equal_files(path: Path, tmp_path: Path) -> None:
    write_fingerprint(tmp_path / "b.dubl", fingerprint())
    assert (tmp_path / "b.dubl").read_bytes() == path.read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.dubl", "b.dubl"]


def test_it_is_known_by_its_content(path: Path, tmp_path: Path) -> None:
    renamed = path.rename(tmp_path / "b.bin")
    assert is_fingerprint(renamed)
    assert is_video(renamed)  # so folders and archives take it
    assert local_source(renamed).fingerprint
    assert renamed.read_bytes()[38:].startswith(FINGERPRINT_TYPE.encode())
    other = tmp_path / "c.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a.mp4", FINGERPRINT_TYPE)
    assert not is_fingerprint(other)
    assert not is_fingerprint(tmp_path / "absent")


def test_a_service_that_does_not_listen_leaves_the_sound_out(path: Path) -> None:
    assert read(path, sound=None).features.sound is None


def test_a_reference_takes_its_own_rows_of_whole_frames(path: Path) -> None:
    features = read(path, sampling=REFERENCE).features
    assert features.timestamps_s.tolist() == list(range(20))
    assert not features.views.any()


@pytest.mark.parametrize(
    "sampling",
    [
        dataclasses.replace(QUERY, views="all"),
        dataclasses.replace(QUERY, rate_hz=4.0),
        dataclasses.replace(REFERENCE, rate_hz=4.0),
    ],
)
def test_rows_that_it_lacks_are_a_mismatch(path: Path, sampling: Sampling) -> None:
    with pytest.raises(FingerprintMismatch, match="this service compares"):
        read(path, sampling=sampling)


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=values.dtype == object)
    return buffer.getvalue()


def array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Members], None]:
    def changed(members: Members) -> None:
        values = np.load(io.BytesIO(members[f"{name}.npy"]))
        members[f"{name}.npy"] = npy(change(values))

    return changed


def told(*keys: str, value: object) -> Callable[[Members], None]:
    def changed(members: Members) -> None:
        about = json.loads(members["about.json"])
        place = about
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        members["about.json"] = json.dumps(about).encode()

    return changed


def put(name: str, content: bytes) -> Callable[[Members], None]:
    return lambda members: members.__setitem__(name, content)


def shape_of(text: str) -> bytes:
    """A header of an array that announces another shape than there is."""
    good = npy(np.zeros((ROWS + 4, 8), np.int8))
    return good.replace(b"(44, 8), }", text.encode())


LIES: dict[str, tuple[Callable[[Members], None], type[DublError]]] = {
    "another model": (told("spec", "weights_sha256", value="2" * 64), FingerprintMismatch),
    "another size of features": (told("spec", "descriptor_dims", value=4), FingerprintMismatch),
    "another network of sound": (told("sound_spec", "model_id", value="t"), FingerprintMismatch),
    "a later format": (told("format", value=FORMAT + 1), FingerprintMismatch),
    "no format": (told("format", value=None), InvalidFingerprint),
    "a text as the number of rows": (told("rows", value="many"), InvalidFingerprint),
    "no rows": (told("rows", value=0), InvalidFingerprint),
    "too many rows": (told("rows", value=10**9), InvalidFingerprint),
    "one row too many": (told("rows", value=ROWS + 5), InvalidFingerprint),
    "too many windows of sound": (told("sound_rows", value=10**9), InvalidFingerprint),
    "sound of ages": (told("sound_s", value=1e12), InvalidFingerprint),
    "sound without an end": (told("sound_s", value=-1), InvalidFingerprint),
    "many members": (
        lambda members: members.update({f"more/{number}": b"" for number in range(20)}),
        InvalidFingerprint,
    ),
    "a directory of a megabyte": (
        lambda members: members.update({f"{number:0>250}": b"" for number in range(5000)}),
        InvalidFingerprint,
    ),
    "a header of no type": (
        lambda members: put("views.npy", members["views.npy"].replace(b"'|u1'", b"()   "))(members),
        InvalidFingerprint,
    ),
    "a header that is no Python": (
        lambda members: put("views.npy", members["views.npy"].replace(b"'descr'", b"[1,22,3]"[:7]))(
            members
        ),
        InvalidFingerprint,
    ),
    "no JSON": (put("about.json", b"{"), InvalidFingerprint),
    "deep JSON": (put("about.json", b"[" * 5000), InvalidFingerprint),
    "a list": (put("about.json", b"[]"), InvalidFingerprint),
    "a long description": (put("about.json", b" " * 70000 + b"{}"), InvalidFingerprint),
    "an endless duration": (
        lambda members: put(
            "about.json", members["about.json"].replace(b'"duration_s": 20.0', b'"duration_s": NaN')
        )(members),
        InvalidFingerprint,
    ),
    "no duration": (told("facts", "duration_s", value=0), VideoTooShort),
    "a negative duration": (told("facts", "duration_s", value=-20), VideoTooShort),
    "a day": (told("facts", "duration_s", value=86400), VideoTooLong),
    "a longer video than its pictures": (
        told("facts", "duration_s", value=200.0),
        InvalidFingerprint,
    ),
    "a shorter video than its pictures": (
        told("facts", "duration_s", value=10.0),
        InvalidFingerprint,
    ),
    "a rate of zero": (told("sampling", "rate_hz", value=0), InvalidFingerprint),
    "a hash of another length": (told("source", "sha256", value="ab"), InvalidFingerprint),
    "NaN as a time": (array("timestamps_s", lambda a: a * np.nan), InvalidFingerprint),
    "infinity as a time": (array("timestamps_s", lambda a: a + np.inf), InvalidFingerprint),
    "times before the begin": (array("timestamps_s", lambda a: a - 1), InvalidFingerprint),
    "times that go back": (array("timestamps_s", lambda a: a[::-1].copy()), InvalidFingerprint),
    "one time for all": (array("timestamps_s", lambda a: a * 0), InvalidFingerprint),
    "NaN as a time of sound": (array("sound_times_s", lambda a: a * np.nan), InvalidFingerprint),
    "views that do not exist": (array("views", lambda a: a + 30), InvalidFingerprint),
    "no whole frames": (array("views", lambda a: a + 1), InvalidFingerprint),
    "descriptors of no length": (array("descriptors", lambda a: a * 0), InvalidFingerprint),
    "long descriptors": (
        array("descriptors", lambda a: np.full_like(a, 127)),
        InvalidFingerprint,
    ),
    "regions of no length": (array("region_features", lambda a: a * 0), InvalidFingerprint),
    "floating numbers": (
        array("descriptors", lambda a: a.astype(np.float32)),
        InvalidFingerprint,
    ),
    "a column too few": (array("descriptors", lambda a: a[:, :-1].copy()), InvalidFingerprint),
    "a row too few": (array("region_features", lambda a: a[:-1].copy()), InvalidFingerprint),
    "columns first": (array("descriptors", np.asfortranarray), InvalidFingerprint),
    "a pickle": (
        array("views", lambda a: np.array([print] * len(a), dtype=object)),
        InvalidFingerprint,
    ),
    "a huge shape": (put("descriptors.npy", shape_of("(44000000000, 8), }")), InvalidFingerprint),
    "a shape that is code": (put("descriptors.npy", shape_of("exit(3), }")), InvalidFingerprint),
    "no array": (put("views.npy", b"views"), InvalidFingerprint),
    "an empty array": (put("views.npy", b""), InvalidFingerprint),
    "a bomb": (put("descriptors.npy", bytes(50_000_000)), InvalidFingerprint),
    "a missing array": (lambda members: members.__delitem__("views.npy"), InvalidFingerprint),
}


def packed(members: Members, *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            kind = zipfile.ZIP_STORED if name == "mimetype" else method
            archive.writestr(name, content, kind)
    return buffer.getvalue()


def unpacked(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_by_name(path: Path, lie: str) -> None:
    change, error = LIES[lie]
    members = unpacked(path)
    change(members)
    path.write_bytes(packed(members))
    assert is_fingerprint(path)
    with pytest.raises(error) as raised:
        read(path)
    assert type(raised.value) is error
    assert raised.value.hint


def test_unchanged_members_packed_anew_are_read(path: Path) -> None:
    path.write_bytes(packed(unpacked(path)))
    assert len(read(path).features.views) == ROWS + 4


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.99])
def test_a_cut_file_is_refused(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InvalidFingerprint):
        read(path)


def test_other_compressions_are_refused(path: Path) -> None:
    path.write_bytes(packed(unpacked(path), method=zipfile.ZIP_LZMA))
    with pytest.raises(InvalidFingerprint, match="deflate"):
        read(path)


def test_a_member_that_is_there_twice_is_refused(path: Path) -> None:
    content = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(content, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("about.json", b"{}")
    path.write_bytes(content.getvalue())
    with pytest.raises(InvalidFingerprint, match=r"one about\.json"):
        read(path)


def test_a_flipped_bit_is_refused_or_changes_little(path: Path) -> None:
    """Whatever is damaged gives an error of the product, and never another one."""
    content = path.read_bytes()
    rng, refused = np.random.default_rng(3), 0
    for _ in range(300):
        place, bit = int(rng.integers(len(content))), 1 << int(rng.integers(8))
        damaged = bytearray(content)
        damaged[place] ^= bit
        path.write_bytes(damaged)
        try:
            read(path)
        except DublError:
            refused += 1
    assert refused > 200
