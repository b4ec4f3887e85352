"""Claims about what Prometheus is told."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from dubl.types import VideoFacts
from serve_app.api.middleware import AnswerTimes, ComposedPath
from serve_app.metrics import size_name
from serve_app.scraping import merged

PAGE = """\
# HELP ray_dubl_jobs_total Jobs that ended
# TYPE ray_dubl_jobs_total counter
ray_dubl_jobs_total{NodeAddress="%s",code="none"} 1.0
# HELP ray_tasks Of Ray itself
# TYPE ray_tasks gauge
ray_tasks 4.0
# HELP ray_node_gpus_utilization Of a GPU
# TYPE ray_node_gpus_utilization gauge
ray_node_gpus_utilization{NodeAddress="%s"} 40.0
"""


def test_pages_of_all_nodes_are_one_with_each_family_in_one_piece() -> None:
    assert merged([PAGE % ("a", "a"), "", PAGE % ("b", "b")]).splitlines() == [
        "# HELP dubl_jobs_total Jobs that ended",
        "# TYPE dubl_jobs_total counter",
        'dubl_jobs_total{NodeAddress="a",code="none"} 1.0',
        'dubl_jobs_total{NodeAddress="b",code="none"} 1.0',
        "# HELP ray_node_gpus_utilization Of a GPU",
        "# TYPE ray_node_gpus_utilization gauge",
        'ray_node_gpus_utilization{NodeAddress="a"} 40.0',
        'ray_node_gpus_utilization{NodeAddress="b"} 40.0',
    ]


def test_answers_are_told_by_their_route_and_never_by_their_path() -> None:
    app, told = FastAPI(), []

    @app.get("/v1/jobs/{job_id}")
    async def job(job_id: str) -> str:
        return job_id

    def observe(method: str, route: str, status: int, seconds: float) -> None:
        assert seconds > 0
        told.append((method, route, status))

    app.add_middleware(ComposedPath)
    app.add_middleware(AnswerTimes, observe=observe)
    client = TestClient(app)
    client.get("/v1/jobs/7")
    client.get("/wp-admin/7")
    assert told == [("GET", "/v1/jobs/{job_id}", 200), ("GET", "none", 404)]


@pytest.mark.parametrize(
    ("width", "height", "name"),
    [(426, 240, "240p"), (1080, 1920, "1080p"), (1921, 1081, "2160p"), (9000, 9000, "larger")],
)
def test_sizes_are_named_by_the_shorter_side(width: int, height: int, name: str) -> None:
    facts = VideoFacts(
        duration_s=1,
        width=width,
        height=height,
        rotation_deg=0,
        codec="h264",
        container="mp4",
        frame_rate_hz=25,
        backend="pyav",
    )
    assert size_name(facts) == name
