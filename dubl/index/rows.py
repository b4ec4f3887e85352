"""Conversion between domain objects and Arrow rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dubl.contract import bodies
from dubl.contract.rights import parse_rights
from dubl.index.schema import PLAIN_COLUMNS, SOUND_COLUMNS, frames_schema, references_schema
from dubl.index.spans import span_ends, span_starts
from dubl.rights.terms import Rights
from dubl.types import (
    FeatureSpec,
    Float16Array,
    Float64Array,
    Metadata,
    Reference,
    ReferenceDraft,
    SoundFeatures,
    SoundSpec,
    VideoFeatures,
    VideoSource,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A video to be registered.

    `created_at`: of the same reference in another feature space; empty for a new reference.
    """

    draft: ReferenceDraft
    source: VideoSource
    features: VideoFeatures
    created_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReference:
    """A reference about to be written, with its features.

    copied: it has the time of the same reference in another feature space.
    """

    reference: Reference
    features: VideoFeatures
    copied: bool = False


def new_reference(entry: Entry, *, created_at: str) -> NewReference:
    draft, source, features = entry.draft, entry.source, entry.features
    reference = Reference(
        id=draft.id,
        library=draft.library,
        title=draft.title,
        owner=draft.owner,
        metadata=dict(draft.metadata),
        source=source.name,
        sha256=source.sha256,
        duration_s=features.duration_s,
        frame_count=int(features.timestamps_s.shape[0]),
        created_at=created_at,
        damaged=features.damaged,
        rights=draft.rights,
    )
    return NewReference(reference=reference, features=features, copied=bool(entry.created_at))


def same_reference(reference: Reference, features: VideoFeatures) -> Entry:
    """An entry that registers an existing reference in the feature space of `features`."""
    draft = ReferenceDraft(
        id=reference.id,
        library=reference.library,
        title=reference.title,
        owner=reference.owner,
        metadata=reference.metadata,
        rights=reference.rights,
    )
    source = VideoSource(path="", sha256=reference.sha256, size_bytes=0, name=reference.source)
    return Entry(draft=draft, source=source, features=features, created_at=reference.created_at)


def references_table(items: Sequence[NewReference], spec: FeatureSpec) -> pa.Table:
    """Rows of `references`."""
    return pa.Table.from_pylist(
        [_reference_row(item) for item in items], schema=references_schema(spec)
    )


def frames_table(items: Sequence[NewReference], spec: FeatureSpec) -> pa.Table:
    """Rows of `frames` for all items: one row for each span of nearly equal frames.

    Frames with a zero descriptor (without content) are left out: they may not vote.
    """
    parts = [(item.reference, _spans(item.features)) for item in items]
    return _vectors_table(parts, frames_schema(spec))


def audio_frames_table(
    items: Sequence[tuple[Reference, SoundFeatures | None]], schema: pa.Schema
) -> pa.Table:
    """Rows of the table of sound with `schema`, one for each window."""
    parts = [
        (reference, _Spans(descriptors=one.descriptors, from_s=one.times_s, until_s=one.times_s))
        for reference, one in items
        if one is not None
    ]
    return _vectors_table(parts, schema)


def _vectors_table(parts: Sequence[tuple[Reference, _Spans]], schema: pa.Schema) -> pa.Table:
    dims = schema.field("descriptor").type.list_size
    references, spans = [one for one, _ in parts], [one for _, one in parts]
    no_rows = np.zeros((0, dims), np.float16)
    descriptors = np.concatenate([no_rows, *(part.descriptors for part in spans)])
    owner = np.repeat(np.arange(len(parts)), [len(part.from_s) for part in spans])
    columns = [
        _repeated([one.id for one in references], owner),
        _repeated([one.library for one in references], owner),
        _repeated([one.created_at for one in references], owner),
        pa.array(np.concatenate([np.zeros(0), *(part.from_s for part in spans)])),
        pa.array(np.concatenate([np.zeros(0), *(part.until_s for part in spans)])),
        pa.FixedSizeListArray.from_arrays(pa.array(descriptors.reshape(-1)), dims),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def to_references(table: pa.Table) -> list[Reference]:
    """Rows with FACT_COLUMNS as references."""
    return [
        Reference(
            **{name: row[name] for name in PLAIN_COLUMNS},
            metadata=json.loads(row["metadata"]),
            rights=to_rights(row),
        )
        for row in table.to_pylist()
    ]


def to_features(
    table: pa.Table, spec: FeatureSpec, sound: SoundSpec | None = None
) -> dict[str, VideoFeatures]:
    """Rows with FEATURE_COLUMNS as features by reference id; without sounds of other spaces."""
    ids: list[str] = table["id"].to_pylist()
    return {
        reference_id: replace(
            _features(table, index, spec), sound=_sound(table, index, sound) if sound else None
        )
        for index, reference_id in enumerate(ids)
    }


def to_sounds(table: pa.Table, spec: SoundSpec) -> dict[str, SoundFeatures]:
    """Sounds in one space by reference id, of rows with their columns."""
    ids: list[str] = table["id"].to_pylist()
    found = {name: _sound(table, index, spec) for index, name in enumerate(ids)}
    return {name: one for name, one in found.items() if one is not None}


def sound_row(sound: SoundFeatures | None) -> dict[str, object]:
    """Values of SOUND_COLUMNS."""
    if sound is None:
        return dict.fromkeys(SOUND_COLUMNS)
    return {
        "sound_space": sound.spec.space_id,
        "sound_times_s": sound.times_s.astype("<f8").tobytes(),
        "sound_descriptors": sound.descriptors.astype("<f2").tobytes(),
    }


def metadata_text(metadata: Metadata) -> str:
    """Metadata as stored: JSON without escapes of non-ASCII text."""
    return json.dumps(dict(metadata), ensure_ascii=False)


def rights_row(rights: Rights) -> dict[str, str | float | None]:
    """Values of RIGHTS_COLUMNS."""
    plain = bodies.Rights.of(rights).model_dump(mode="json")

    def text(name: str) -> str | None:
        return json.dumps(plain[name], ensure_ascii=False) if plain[name] else None

    return {
        "licence_windows": text("license_windows"),
        "excluded_segments": text("excluded_segments"),
        "rights_action": rights.action.value,
        "min_copied_s": rights.min_copied_s,
        "rights_modalities": rights.modalities and rights.modalities.value,
    }


def to_rights(row: Mapping[str, object]) -> Rights:
    """Rights from RIGHTS_COLUMNS; tables of older versions lack some of them."""
    return parse_rights(
        {
            "action": row.get("rights_action"),
            "license_windows": row.get("licence_windows"),
            "min_copied_s": row.get("min_copied_s"),
            "excluded_segments": row.get("excluded_segments"),
            "modalities": row.get("rights_modalities"),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spans:
    """K spans of one video: descriptors [K,D'] of their first frames, and start and end times in
    seconds, [K] each."""

    descriptors: Float16Array
    from_s: Float64Array
    until_s: Float64Array


def _spans(features: VideoFeatures) -> _Spans:
    times_s = features.timestamps_s.astype(np.float64)
    starts = span_starts(features.descriptors, times_s)
    ends = span_ends(starts, len(times_s))
    seen = features.descriptors[starts].any(axis=1)
    return _Spans(
        descriptors=features.descriptors[starts[seen]].astype(np.float16),
        from_s=times_s[starts[seen]],
        until_s=times_s[ends[seen]],
    )


def _reference_row(item: NewReference) -> dict[str, object]:
    reference, features = item.reference, item.features
    return {
        **{name: getattr(reference, name) for name in PLAIN_COLUMNS},
        "metadata": metadata_text(reference.metadata),
        **rights_row(reference.rights),
        "timestamps_s": features.timestamps_s.astype("<f8").tobytes(),
        "views": features.views.astype("u1").tobytes(),
        "descriptors": features.descriptors.astype("<f2").tobytes(),
        "region_features": features.region_features.astype("<f2").tobytes(),
        **sound_row(features.sound),
    }


def _bytes(table: pa.Table, column: str, index: int) -> bytearray:
    """A copy: Arrow's memory is read-only and may be unaligned."""
    return bytearray(table[column][index].as_buffer())


def _sound(table: pa.Table, index: int, spec: SoundSpec) -> SoundFeatures | None:
    if table["sound_space"][index].as_py() != spec.space_id:
        return None
    descriptors = np.frombuffer(_bytes(table, "sound_descriptors", index), np.float16)
    return SoundFeatures(
        descriptors=descriptors.reshape(-1, spec.dims),
        times_s=np.frombuffer(_bytes(table, "sound_times_s", index), np.float64),
        duration_s=float(table["duration_s"][index].as_py()),
        spec=spec,
    )


def _features(table: pa.Table, index: int, spec: FeatureSpec) -> VideoFeatures:
    count = int(table["frame_count"][index].as_py())
    descriptors = np.frombuffer(_bytes(table, "descriptors", index), np.float16)
    regions = np.frombuffer(_bytes(table, "region_features", index), np.float16)
    return VideoFeatures(
        descriptors=descriptors.reshape(count, spec.descriptor_dims),
        region_features=regions.reshape(count, spec.regions, spec.region_dims),
        timestamps_s=np.frombuffer(_bytes(table, "timestamps_s", index), np.float64),
        views=np.frombuffer(_bytes(table, "views", index), np.uint8),
        duration_s=float(table["duration_s"][index].as_py()),
        spec=spec,
    )


def _repeated(values: Sequence[str], owner: NDArray[np.intp]) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(owner))
