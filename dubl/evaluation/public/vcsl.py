"""VCSL as its authors publish it (He et al., 2022: A Large-scale Comprehensive Dataset and
Copy-overlap Aware Evaluation Protocol for Segment-level Video Copy Detection).

The folder holds `pair_file_test.csv` (PAIR_COLUMNS), `label_file_uuid_total.json` and `videos/`
with a video for each id. The labels give, by "query-reference", the boxes
[query start, reference start, query end, reference end], in seconds.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dubl.errors import InvalidRequest
from dubl.evaluation.public.layout import linked_suite, read_table, videos_by_id
from dubl.evaluation.suite import SuiteTruth, TrueMatch, find_videos

PAIRS, LABELS, VIDEOS = "pair_file_test.csv", "label_file_uuid_total.json", "videos"
PAIR_COLUMNS = ("query_id", "reference_id")

_Labels = TypeAdapter(dict[str, list[tuple[float, float, float, float]]])


def read_vcsl(folder: Path, suite: Path) -> SuiteTruth:
    """The truth of the test pairs; `suite`: as in linked_suite.

    Every query is asked of all references, not only of its pairs. Raises InvalidRequest.
    """
    videos, labels = videos_by_id(find_videos(folder / VIDEOS)), _labels(folder / LABELS)
    pairs = [
        (row["query_id"], row["reference_id"]) for row in read_table(folder / PAIRS, PAIR_COLUMNS)
    ]
    matches: dict[str, list[TrueMatch]] = defaultdict(list)
    for query, reference in dict.fromkeys(pairs):
        for q_start, r_start, q_end, r_end in labels.get(f"{query}-{reference}", ()):
            match = TrueMatch(reference=reference, q=(q_start, q_end), r=(r_start, r_end))
            matches[query].append(match)
    queries, references = zip(*pairs, strict=True) if pairs else ((), ())
    return linked_suite(
        suite,
        queries={one: videos[one] for one in dict.fromkeys(queries) if one in videos},
        references={one: videos[one] for one in dict.fromkeys(references) if one in videos},
        matches=matches,
    )


def _labels(path: Path) -> dict[str, list[tuple[float, float, float, float]]]:
    try:
        return _Labels.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as exc:
        raise InvalidRequest(f"{path} holds no labels of VCSL: {exc}") from exc
