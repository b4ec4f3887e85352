"""The duplicates of an archive: confirmed pairs in a DuckDB file, their clusters, their report.

A search can be continued from its file. A pair is a row with its smaller id first: it is found from
either side and compared once.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from PIL import Image

from dubl.closing import Closing
from dubl.contract.bodies import DuplicateCluster, DuplicateMember, DuplicatePair
from dubl.errors import ConfigurationError, DublError, StoreUnavailable
from dubl.media.sources import local_source
from dubl.ports import Decoder
from dubl.rendering import render
from dubl.types import Reference, Sampling, Segment

Row = tuple[Any, ...]  # DuckDB's values have the columns' types

FETCHED_ROWS = 1024
SCHEMA = """
CREATE TABLE IF NOT EXISTS origin (library VARCHAR, space_id VARCHAR);
CREATE TABLE IF NOT EXISTS searched (id VARCHAR PRIMARY KEY);
CREATE TABLE IF NOT EXISTS pairs (
    a VARCHAR, b VARCHAR, compared BOOLEAN DEFAULT FALSE,
    probability DOUBLE, similarity DOUBLE, segments VARCHAR, PRIMARY KEY (a, b)
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPair:
    """Two references, `a` < `b`; segments have `a` as the query."""

    a: str
    b: str
    probability: float
    similarity: float
    segments: tuple[Segment, ...] = ()


class DuplicatePairs(Closing):
    """Raises StoreUnavailable for a file that cannot be written or is in use."""

    def __init__(self, path: Path, *, library: str, space_id: str) -> None:
        """Raises ConfigurationError for a file of another library or model."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = duckdb.connect(str(path))
            self._database.execute(SCHEMA)
        except (OSError, duckdb.Error) as exc:
            raise StoreUnavailable(f"{path} cannot be opened: {exc}") from exc
        origin = self._database.execute("SELECT library, space_id FROM origin").fetchone()
        if origin is None:
            self._database.execute("INSERT INTO origin VALUES (?, ?)", [library, space_id])
        elif origin != (library, space_id):
            raise ConfigurationError(
                f"{path} belongs to library '{origin[0]}' in feature space {origin[1]}, "
                f"not to '{library}' in {space_id}; choose another --out"
            )

    def close(self) -> None:
        self._database.close()

    def unsearched(self, ids: Sequence[str]) -> list[str]:
        """Those of the ids whose candidates have not been looked up."""
        found = self._database.execute(
            "SELECT id FROM unnest(?) AS asked(id) ANTI JOIN searched USING (id) ORDER BY id",
            [list(ids)],
        )
        return [row[0] for row in found.fetchall()]

    def add_candidates(self, rows: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Notes, for each reference, which others look like it."""
        pairs = [sorted((one, other)) for one, others in rows for other in others if other != one]
        self._database.begin()
        if pairs:
            self._database.executemany(
                "INSERT INTO pairs (a, b) VALUES (?, ?) ON CONFLICT DO NOTHING", pairs
            )
        if rows:
            self._database.executemany(
                "INSERT INTO searched VALUES (?) ON CONFLICT DO NOTHING", [[one] for one, _ in rows]
            )
        self._database.commit()

    def uncompared(self) -> Iterator[tuple[str, str]]:
        """Pairs still to be compared, in order."""
        query = "SELECT a, b FROM pairs WHERE NOT compared ORDER BY a, b"
        yield from _rows(self._database.cursor().execute(query))

    def add_compared(self, pairs: Sequence[ComparedPair]) -> None:
        self._database.begin()
        if pairs:
            self._database.executemany(
                "UPDATE pairs SET compared = TRUE, probability = ?, similarity = ?, segments = ? "
                "WHERE a = ? AND b = ?",
                [
                    [
                        pair.probability,
                        pair.similarity,
                        json.dumps([asdict(segment) for segment in pair.segments]),
                        pair.a,
                        pair.b,
                    ]
                    for pair in pairs
                ],
            )
        self._database.commit()

    def matches(self, *, min_probability: float) -> Iterator[ComparedPair]:
        """Compared pairs of at least this probability, in order."""
        query = (
            "SELECT a, b, probability, similarity, segments FROM pairs "
            "WHERE compared AND probability >= ? ORDER BY a, b"
        )
        for a, b, probability, similarity, segments in _rows(
            self._database.cursor().execute(query, [min_probability])
        ):
            yield ComparedPair(
                a=a,
                b=b,
                probability=probability,
                similarity=similarity,
                segments=tuple(Segment(**segment) for segment in json.loads(segments)),
            )

    def counts(self) -> tuple[int, int]:
        """Searched references, compared pairs."""
        found = self._database.execute(
            "SELECT (SELECT count(*) FROM searched), count(*) FROM pairs WHERE compared"
        ).fetchone()
        searched, compared = found or (0, 0)
        return searched, compared


def _rows(result: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    while rows := result.fetchmany(FETCHED_ROWS):
        yield from rows


# Encoders round durations; within this a copy is as long as its original.
SAME_DURATION_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Videos that are copies of each other, or of parts of each other; the keeper first."""

    members: tuple[Reference, ...]
    pairs: tuple[ComparedPair, ...]

    @property
    def keeper(self) -> Reference:
        return self.members[0]


def connected(pairs: Iterable[ComparedPair]) -> list[list[ComparedPair]]:
    """Pairs by connected component, in order of the smallest id in each."""
    parents: dict[str, str] = {}
    confirmed = list(pairs)
    for pair in confirmed:
        first, second = sorted((_root(parents, pair.a), _root(parents, pair.b)))
        parents[second] = first
    components: dict[str, list[ComparedPair]] = {}
    for pair in confirmed:
        components.setdefault(_root(parents, pair.a), []).append(pair)
    return [components[root] for root in sorted(components)]


def make_cluster(
    pairs: Sequence[ComparedPair], references: Mapping[str, Reference]
) -> Cluster | None:
    """The cluster of a component; nothing when fewer than two of its videos are still there."""
    ids = {identity for pair in pairs for identity in (pair.a, pair.b)} & references.keys()
    if len(ids) < 2:
        return None
    members = [references[identity] for identity in ids]
    longest_s = max(member.duration_s for member in members)
    members.sort(key=lambda member: _rank(member, longest_s))
    return Cluster(
        members=tuple(members),
        pairs=tuple(pair for pair in pairs if {pair.a, pair.b} <= ids),
    )


def picture_size(reference: Reference) -> tuple[int, int]:
    """Width and height as the indexing job noted them; zeros for references from elsewhere."""
    width, height = reference.metadata.get("width"), reference.metadata.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else (0, 0)


def _rank(member: Reference, longest_s: float) -> tuple[bool, float, int, str, str]:
    """Longest first (those within a second of the longest are alike), then the largest picture,
    then the oldest registration."""
    shorter = member.duration_s < longest_s - SAME_DURATION_S
    width, height = picture_size(member)
    lack_s = longest_s - member.duration_s if shorter else 0.0
    return shorter, lack_s, -width * height, member.created_at, member.id


def _root(parents: dict[str, str], identity: str) -> str:
    root = identity
    while parents.setdefault(root, root) != root:
        root = parents[root]
    while parents[identity] != root:
        parents[identity], identity = root, parents[identity]
    return root


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
