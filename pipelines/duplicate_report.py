"""The duplicates of an archive as Parquet, CSV and a page with pictures that needs no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from PIL import Image

from dubl.contract.bodies import DuplicateCluster, DuplicateMember, DuplicatePair
from dubl.errors import DublError
from dubl.media.sources import local_source
from dubl.ports import Decoder
from dubl.rendering import render
from dubl.types import Reference, Sampling
from pipelines.duplicate_clusters import Cluster, picture_size

PAGE = "duplicates.html"
SHOWN_CLUSTERS = 200
SHOWN_MEMBERS = 12
THUMBNAIL = Sampling(rate_hz=0.01, min_frames=3, frame_size=160)
NO_PICTURE = ""


def write_tables(clusters: Sequence[Cluster], folder: Path) -> None:
    """duplicates.parquet and duplicates.csv: a row a video, keepers first in their clusters."""
    rows = [
        {"cluster": number, **_facts(cluster, member)}
        for number, cluster in enumerate(clusters, start=1)
        for member in cluster.members
    ]
    table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    pq.write_table(table, folder / "duplicates.parquet")
    pa_csv.write_csv(table, folder / "duplicates.csv")


def shown_clusters(clusters: Sequence[Cluster]) -> tuple[DuplicateCluster, ...]:
    """As the service shows them."""
    return tuple(
        DuplicateCluster(
            members=tuple(
                DuplicateMember(id=one.id, title=one.title, duration_s=one.duration_s)
                for one in cluster.members
            ),
            pairs=tuple(
                DuplicatePair(a=pair.a, b=pair.b, probability=pair.probability)
                for pair in cluster.pairs
            ),
        )
        for cluster in clusters
    )


def write_page(clusters: Sequence[Cluster], folder: Path, *, decoder: Decoder) -> None:
    """duplicates.html with the first clusters; pictures are read from the sources anew."""
    shown = [
        {
            "videos": len(cluster.members),
            "members": [
                {**_facts(cluster, one), "picture": _thumbnail(one, decoder)}
                for one in cluster.members[:SHOWN_MEMBERS]
            ],
        }
        for cluster in clusters[:SHOWN_CLUSTERS]
    ]
    copies = sum(len(cluster.members) - 1 for cluster in clusters)
    values = {"clusters": shown, "count": len(clusters), "copies": copies}
    (folder / PAGE).write_text(render("duplicates.html", values), encoding="utf-8")


def _facts(cluster: Cluster, member: Reference) -> dict[str, object]:
    width, height = picture_size(member)
    return {
        "id": member.id,
        "role": "keeper" if member is cluster.keeper else "copy",
        "duration_s": member.duration_s,
        "width": width,
        "height": height,
        "created_at": member.created_at,
        "source": member.source,
        "probability": max(
            pair.probability for pair in cluster.pairs if member.id in (pair.a, pair.b)
        ),
    }


def _thumbnail(reference: Reference, decoder: Decoder) -> str:
    """The middle of the video as base64 JPEG; nothing when the source is not there any more."""
    path = Path(reference.source)
    try:
        is_there = path.is_file()
    except OSError:  # a name that no file can have: that of an upload
        is_there = False
    if not is_there:
        return NO_PICTURE
    try:
        source = local_source(path, name=str(path), sha256=reference.sha256)
        frames = decoder.decode(source, sampling=THUMBNAIL).frames
    except DublError:
        return NO_PICTURE
    buffer = io.BytesIO()
    Image.fromarray(frames[len(frames) // 2]).save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()


_SCHEMA = pa.schema(
    [
        pa.field("cluster", pa.int64()),
        pa.field("id", pa.string()),
        pa.field("role", pa.string()),
        pa.field("duration_s", pa.float64()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("created_at", pa.string()),
        pa.field("source", pa.string()),
        pa.field("probability", pa.float64()),
    ]
)
