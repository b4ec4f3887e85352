"""Claims about pairs, clusters, keepers and their report."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from pathlib import Path
from typing import cast

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from dubl.errors import ConfigurationError, NotAVideo
from dubl.index.store import LibraryStore
from dubl.types import FrameClip, Reference, Sampling, Segment, VideoSource
from pipelines.dedupe_archive import clusters_of
from pipelines.duplicates import (
    ComparedPair,
    DuplicatePairs,
    connected,
    make_cluster,
    write_page,
    write_tables,
)

SEGMENT = Segment(
    query_start_s=0, query_end_s=5, reference_start_s=1, reference_end_s=6, similarity=0.9
)


class NoDecoder:
    """Every source is broken."""

    def decode(self, source: VideoSource, *, sampling: Sampling) -> FrameClip:
        raise NotAVideo(f"{source.name} at {sampling.rate_hz}")


def reference(
    identity: str, *, duration_s: float = 10, width: int = 0, created_at: str = "2026"
) -> Reference:
    return Reference(
        id=identity,
        library="main",
        title="",
        owner="",
        metadata={"width": width, "height": width} if width else {},
        source=f"/videos/{identity}",
        sha256=identity,
        duration_s=duration_s,
        frame_count=1,
        created_at=created_at,
    )


def pair(a: str, b: str, probability: float = 0.95) -> ComparedPair:
    return ComparedPair(a=a, b=b, probability=probability, similarity=0.9, segments=(SEGMENT,))


def opened(path: Path, *, library: str = "main") -> DuplicatePairs:
    return DuplicatePairs(path, library=library, space_id="abc")


def test_a_pair_found_from_both_sides_is_compared_once(tmp_path: Path) -> None:
    with opened(tmp_path / "pairs.duckdb") as pairs:
        pairs.add_candidates([("b", ["a", "b"]), ("a", ["b", "c"])])
        assert list(pairs.uncompared()) == [("a", "b"), ("a", "c")]


def test_the_search_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "pairs.duckdb"
    with opened(path) as pairs:
        pairs.add_candidates([("a", ["b", "c"])])
        pairs.add_compared([pair("a", "b")])
    with opened(path) as pairs:
        assert pairs.unsearched(["c", "a", "b"]) == ["b", "c"]
        assert list(pairs.uncompared()) == [("a", "c")]
        pairs.add_candidates([("b", ["a"])])
        assert list(pairs.uncompared()) == [("a", "c")], "what was compared stays so"
        assert list(pairs.matches(min_probability=0.9)) == [pair("a", "b")]
        assert pairs.counts() == (2, 1)


def test_the_state_of_another_library_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.duckdb"
    opened(path).__exit__(None, None, None)
    with pytest.raises(ConfigurationError, match="choose another --out"):
        opened(path, library="other")


def test_clusters_are_connected_components() -> None:
    pairs = [pair("d", "e"), pair("a", "b"), pair("b", "c"), pair("f", "e")]
    components = connected(pairs)
    members = [sorted({one for some in part for one in (some.a, some.b)}) for part in components]
    assert members == [["a", "b", "c"], ["d", "e", "f"]]


def test_a_long_chain_is_one_cluster() -> None:
    names = [f"{number:05}" for number in range(5000)]
    chain = [pair(first, second) for first, second in itertools.pairwise(names)]
    assert len(connected(reversed(chain))) == 1


@pytest.mark.parametrize(
    ("members", "keeper"),
    [
        ([reference("a", duration_s=9), reference("b", duration_s=30)], "b"),
        ([reference("a", duration_s=30), reference("b", duration_s=29.5, width=640)], "b"),
        ([reference("a", created_at="2026"), reference("b", created_at="2025")], "b"),
        ([reference("a", width=320), reference("b", width=320)], "a"),
    ],
    ids=["longest", "as long and larger", "oldest", "smallest id"],
)
def test_the_keeper_is_the_longest_then_largest_then_oldest(
    members: list[Reference], keeper: str
) -> None:
    cluster = make_cluster([pair("a", "b")], {one.id: one for one in members})
    assert cluster is not None
    assert cluster.keeper.id == keeper


def test_a_cluster_whose_videos_are_gone_is_none() -> None:
    assert make_cluster([pair("a", "b")], {"a": reference("a")}) is None


def test_the_report_names_every_video_and_escapes_it(tmp_path: Path) -> None:
    name = "<script>видео</script>"
    cluster = make_cluster([pair(name, "b")], {name: reference(name), "b": reference("b")})
    assert cluster is not None
    write_tables([cluster], tmp_path)
    table = pq.read_table(tmp_path / "duplicates.parquet")
    assert table["role"].to_pylist() == ["keeper", "copy"]
    assert pa_csv.read_csv(tmp_path / "duplicates.csv").num_rows == 2
    write_page([cluster], tmp_path, decoder=NoDecoder())
    page = (tmp_path / "duplicates.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;видео" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_deleted_video_connects_nothing_any_more(tmp_path: Path) -> None:
    class Library:
        def existing(self, *, ids: Collection[str]) -> list[Reference]:
            return [reference(one) for one in sorted(ids) if one != "b"]

    with opened(tmp_path / "pairs.duckdb") as pairs:
        pairs.add_candidates([("a", ["b"]), ("b", ["c"]), ("c", ["d"])])
        pairs.add_compared([pair("a", "b"), pair("b", "c"), pair("c", "d")])
        (cluster,) = clusters_of(pairs, cast(LibraryStore, Library()), min_probability=0.9)
    assert [one.id for one in cluster.members] == ["c", "d"]
