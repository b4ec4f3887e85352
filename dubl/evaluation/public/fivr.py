"""FIVR-200K as its authors publish it (Kordopatis-Zilos et al., 2019: FIVR: Fine-grained Incident
Video Retrieval).

The folder holds `dataset/annotation.json` and `videos/` with a video for each id of YouTube. The
annotation gives, by query, the ids that have a label: ND near duplicate, DS duplicate scene, CS
complementary scene, IS incident scene. It has no times.
"""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dubl.errors import InvalidRequest
from dubl.evaluation.public.layout import linked_suite, videos_by_id
from dubl.evaluation.suite import UNTIMED, SuiteTruth, TrueMatch, find_videos

ANNOTATION, VIDEOS = Path("dataset", "annotation.json"), "videos"

_Annotation = TypeAdapter(dict[str, dict[str, list[str]]])


class Task(Enum):
    """A task of the benchmark, by the labels that count for it."""

    DSVR = ("ND", "DS")
    CSVR = ("ND", "DS", "CS")
    ISVR = ("ND", "DS", "CS", "IS")


def read_fivr(folder: Path, suite: Path, *, task: Task = Task.DSVR) -> SuiteTruth:
    """The truth of a task; `suite`: as in linked_suite.

    Every video is in the library; a query is not compared with itself. Raises InvalidRequest.
    """
    path = folder / ANNOTATION
    try:
        annotation = _Annotation.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as exc:
        raise InvalidRequest(f"{path} is no annotation of FIVR-200K: {exc}") from exc
    videos = videos_by_id(find_videos(folder / VIDEOS))
    return linked_suite(
        suite,
        queries={query: videos[query] for query in annotation if query in videos},
        references=videos,
        matches={
            query: [
                TrueMatch(reference=one, q=UNTIMED, r=UNTIMED)
                for label in task.value
                for one in labelled.get(label, ())
            ]
            for query, labelled in annotation.items()
        },
    )
