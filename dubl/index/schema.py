"""Arrow schemas of the library's tables, with feature space and schema version as metadata.

| table | one row for each |
|---|---|
| `references` | video, with all its features: re-ranking needs one read, `frames` can be rebuilt |
| `frames` | span of nearly equal frames, as a search finds it |
| `audio_frames_…` | window of sound; one table for each space of descriptors of sound |
| `failures` | video that a batch job could not index |
| `index_history` | training or audit of the vector index |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields

import pyarrow as pa

from dubl.errors import FeatureSpaceMismatch, StoreTooNew
from dubl.types import FeatureSpec, SoundSpec

REFERENCES = "references"
FRAMES = "frames"
AUDIO_FRAMES = "audio_frames"
FAILURES = "failures"
INDEX_HISTORY = "index_history"
SPEC_KEY = b"dubl:feature_spec"
SOUND_SPEC_KEY = b"dubl:sound_spec"
VERSION_KEY = b"dubl:schema_version"
# Increased when an older program would misread or damage the tables. New columns do not increase
# it: missing columns are added when a library is opened, and unknown ones are ignored.
SCHEMA_VERSION = 1
# With a primary key, Lance rejects concurrent inserts of the same key. In the schema it holds from
# the first version of the table on.
PRIMARY_KEY = {b"lance-schema:unenforced-primary-key": b"true"}

# Windows and segments are JSON; null means the default.
RIGHTS_COLUMNS = (
    "licence_windows",
    "excluded_segments",
    "rights_action",
    "min_copied_s",
    "rights_modalities",
)
# All null: the sound was never listened to. No windows: nothing was heard.
SOUND_COLUMNS = ("sound_space", "sound_times_s", "sound_descriptors")
# Fields of a reference as they are.
PLAIN_COLUMNS = (
    "id",
    "library",
    "title",
    "owner",
    "source",
    "sha256",
    "duration_s",
    "frame_count",
    "created_at",
    "damaged",
)
FACT_COLUMNS = (*PLAIN_COLUMNS, "metadata", *RIGHTS_COLUMNS)
FEATURE_COLUMNS = (
    "id",
    "duration_s",
    "frame_count",
    "timestamps_s",
    "views",
    "descriptors",
    "region_features",
    *SOUND_COLUMNS,
)


def references_schema(spec: FeatureSpec) -> pa.Schema:
    """One row for each video.

    Features are little-endian arrays in row-major order: timestamps_s float64 [N], views uint8 [N],
    descriptors float16 [N,D'], region_features float16 [N,R,D]; of the sound, in the space with the
    id `sound_space`, times float64 [M] and descriptors float16 [M,D]. `created_at` is UTC text with
    microseconds, distinct for all references of one writer.
    """
    needed = {
        **dict.fromkeys(
            ("id", "library", "title", "owner", "metadata", "source", "sha256"), pa.string()
        ),
        "duration_s": pa.float64(),
        "frame_count": pa.int32(),
        "created_at": pa.string(),
        "damaged": pa.bool_(),
    }
    features = ("timestamps_s", "views", "descriptors", "region_features")
    fields = [
        *_needed(needed),
        pa.field("licence_windows", pa.string()),
        pa.field("excluded_segments", pa.string()),
        *_needed(dict.fromkeys(features, pa.large_binary())),
        # Last, as in tables of older versions, to which they were added.
        pa.field("rights_action", pa.string()),
        pa.field("min_copied_s", pa.float64()),
        pa.field("rights_modalities", pa.string()),
        pa.field("sound_space", pa.string()),
        pa.field("sound_times_s", pa.large_binary()),
        pa.field("sound_descriptors", pa.large_binary()),
    ]
    return pa.schema([fields[0].with_metadata(PRIMARY_KEY), *fields[1:]], metadata=_metadata(spec))


def frames_schema(spec: FeatureSpec) -> pa.Schema:
    """One row for each span of nearly equal frames, from `time_s` until `until_s`.

    `library` and `created_at` repeat the reference's, as filters of a search.
    """
    return _vectors_schema(spec.descriptor_dims, _metadata(spec))


def audio_frames_schema(spec: SoundSpec) -> pa.Schema:
    """One row for each window of sound, with the columns of `frames`; `until_s` is `time_s`."""
    text = json.dumps(asdict(spec), sort_keys=True)
    return _vectors_schema(spec.dims, {SOUND_SPEC_KEY: text.encode()})


def audio_frames_name(spec: SoundSpec) -> str:
    """The table of one space: sounds of another one are not compared and are described again."""
    return f"{AUDIO_FRAMES}_{spec.space_id}"


def _vectors_schema(dims: int, metadata: dict[bytes, bytes]) -> pa.Schema:
    columns = {
        **dict.fromkeys(("reference_id", "library", "created_at"), pa.string()),
        **dict.fromkeys(("time_s", "until_s"), pa.float64()),
        "descriptor": pa.list_(pa.float16(), dims),
    }
    return pa.schema(_needed(columns), metadata=metadata)


def _needed(columns: Mapping[str, pa.DataType]) -> list[pa.Field]:
    """Columns that are never null."""
    return [pa.field(name, kind, nullable=False) for name, kind in columns.items()]


def failures_schema() -> pa.Schema:
    """`attempts` counts the jobs that tried the path; `created_at` is the time of the last one."""
    columns = dict.fromkeys(("path", "code", "detail", "created_at"), pa.string())
    path, *others = _needed({**columns, "attempts": pa.int32()})
    return pa.schema([path.with_metadata(PRIMARY_KEY), *others])


def index_history_schema() -> pa.Schema:
    """Events of the vector index of `frames`.

    `event` is "trained", on `frames` frames; or "audited", with `recall` (1: as exact search) over
    `queries` stored frames.
    """
    return pa.schema(
        [
            pa.field("created_at", pa.string(), nullable=False),
            pa.field("event", pa.string(), nullable=False),
            pa.field("index_type", pa.string(), nullable=False),
            pa.field("frames", pa.int64(), nullable=False),
            pa.field("recall", pa.float64()),
            pa.field("queries", pa.int32(), nullable=False),
        ]
    )


def require_spec(schema: pa.Schema, spec: FeatureSpec, *, where: str) -> None:
    """Raises FeatureSpaceMismatch unless the table was made for `spec`, and StoreTooNew if a newer
    program made it."""
    version = int((schema.metadata or {}).get(VERSION_KEY, SCHEMA_VERSION))
    if version > SCHEMA_VERSION:
        raise StoreTooNew(
            f"{where} has schema version {version}; this program supports {SCHEMA_VERSION}",
            context={"stored_version": version, "known_version": SCHEMA_VERSION},
        )
    if differing := differences(schema, spec):
        raise FeatureSpaceMismatch(
            f"the features in {where} come from another model: {'; '.join(differing)}",
            context={"where": where, "space_id": spec.space_id},
        )


def differences(schema: pa.Schema, spec: FeatureSpec) -> list[str]:
    """The fields in which the table's spec differs from `spec`, as text."""
    stored = _stored_fields(schema)
    return [
        f"{field.name} is {stored.get(field.name)!r} there and {getattr(spec, field.name)!r} here"
        for field in fields(spec)
        if stored.get(field.name) != getattr(spec, field.name)
    ]


def completed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table of an older version with all missing columns added, empty."""
    for field in schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(schema.names).cast(schema)


def _metadata(spec: FeatureSpec) -> dict[bytes, bytes]:
    return {
        SPEC_KEY: json.dumps(asdict(spec), sort_keys=True).encode(),
        VERSION_KEY: str(SCHEMA_VERSION).encode(),
    }


def _stored_fields(schema: pa.Schema) -> dict[str, object]:
    text = (schema.metadata or {}).get(SPEC_KEY, b"{}")
    try:
        stored = json.loads(text)
    except ValueError:
        return {}
    return stored if isinstance(stored, dict) else {}
