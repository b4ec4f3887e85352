"""The duplicates of an archive as Parquet, CSV and a page with pictures that needs no network."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from PIL import Image

from dubl.contract.bodies import DuplicateCluster, DuplicateMember, DuplicatePair
from dubl.errors import DublError
from dubl.ports import Decoder
from dubl.types import Reference, Sampling, VideoSource
from pipelines.duplicate_clusters import Cluster, picture_size

PAGE = "duplicates.html"
SHOWN_CLUSTERS = 200
SHOWN_MEMBERS = 12
THUMBNAIL = Sampling(rate_hz=0.01, min_frames=3, frame_size=160)
NO_PICTURE = ""
HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Duplicates</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
body { max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid #8886; padding: .5rem 0 1rem; }
.members { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; width: 13rem; }
img, .none { width: 100%; border-radius: 4px; background: #8883; display: block; }
.none { aspect-ratio: 16/9; display: grid; place-content: center; }
figcaption { overflow-wrap: anywhere; }
.keeper img, .keeper .none { outline: 3px solid #2a8; }
small { opacity: .75; }
h2 { font-size: 1.05rem; }
</style></head><body>
"""


def write_tables(clusters: Sequence[Cluster], folder: Path) -> None:
    """duplicates.parquet and duplicates.csv: a row a video, keepers first in their clusters."""
    rows = [
        {
            "cluster": number,
            "id": member.id,
            "role": "keeper" if member is cluster.keeper else "copy",
            "duration_s": member.duration_s,
            "width": picture_size(member)[0],
            "height": picture_size(member)[1],
            "created_at": member.created_at,
            "source": member.source,
            "probability": _best(cluster, member),
        }
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
    copies = sum(len(cluster.members) - 1 for cluster in clusters)
    with (folder / PAGE).open("w", encoding="utf-8") as page:
        page.write(HEAD)
        page.write(f"<h1>{len(clusters)} clusters, {copies} copies</h1>\n")
        page.write(
            "<p>The keeper, outlined, is the longest; among those within a second of it, the one "
            "with the largest picture, then the one registered first.</p>\n"
        )
        for number, cluster in enumerate(clusters[:SHOWN_CLUSTERS], start=1):
            page.write(_section(number, cluster, lambda one: _thumbnail(one, decoder)))
        if len(clusters) > SHOWN_CLUSTERS:
            page.write(f"<p>{len(clusters) - SHOWN_CLUSTERS} more are in duplicates.csv.</p>\n")
        page.write("</body></html>\n")


def _section(number: int, cluster: Cluster, picture: Callable[[Reference], str]) -> str:
    shown = cluster.members[:SHOWN_MEMBERS]
    figures = "".join(_figure(one, cluster, picture(one)) for one in shown)
    hidden = len(cluster.members) - len(shown)
    more = f"<p>and {hidden} more</p>" if hidden else ""
    heading = f"<h2>Cluster {number}: {len(cluster.members)} videos</h2>"
    return f'<section>{heading}<div class="members">{figures}</div>{more}</section>\n'


def _figure(member: Reference, cluster: Cluster, picture: str) -> str:
    width, height = picture_size(member)
    shape = f' style="aspect-ratio:{width}/{height}"' if width and height else ""
    image = (
        f'<img alt="" src="data:image/jpeg;base64,{picture}"{shape}>'
        if picture
        else f'<div class="none"{shape}>no picture</div>'
    )
    role = "keeper" if member is cluster.keeper else "copy"
    size = f", {width}×{height}" if width else ""
    return (
        f'<figure class="{role}">{image}<figcaption>{html.escape(member.id)}<br>'
        f"<small>{role}, {member.duration_s:.1f} s{size}, "
        f"probability {_best(cluster, member):.2f}</small></figcaption></figure>"
    )


def _thumbnail(reference: Reference, decoder: Decoder) -> str:
    """The middle of the video as base64 JPEG; nothing when the source is not there any more."""
    path = Path(reference.source)
    try:
        is_there = path.is_file()
    except OSError:  # a name that no file can have: that of an upload
        is_there = False
    if not is_there:
        return NO_PICTURE
    source = VideoSource(
        path=str(path), sha256=reference.sha256, size_bytes=path.stat().st_size, name=str(path)
    )
    try:
        frames = decoder.decode(source, sampling=THUMBNAIL).frames
    except DublError:
        return NO_PICTURE
    buffer = io.BytesIO()
    Image.fromarray(frames[len(frames) // 2]).save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()


def _best(cluster: Cluster, member: Reference) -> float:
    return max(pair.probability for pair in cluster.pairs if member.id in (pair.a, pair.b))


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
