"""Claims about what processes of a small service do not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WITHOUT_PANDAS = """
import sys
from serve_app.lean import leave_out_pandas
leave_out_pandas()
import ray.serve, lancedb, pyarrow as pa
table = lancedb.connect(sys.argv[1]).create_table("t", pa.table({"id": ["a", "b"]}))
table.optimize()
assert table.search().where("id = 'b'").to_arrow().to_pylist() == [{"id": "b"}]
assert "pandas" not in sys.modules
"""
ONE_STEP = """
import sys
import serve_app.deployments
loaded = {"lancedb", "duckdb", "openvino", "torch", "PIL", "serve_app.api.http", "serve_app.jobs"}
assert not loaded & sys.modules.keys(), loaded & sys.modules.keys()
"""


def run(code: str, *arguments: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_serve_and_the_library_do_without_pandas(tmp_path: Path) -> None:
    run(WITHOUT_PANDAS, str(tmp_path))


def test_a_replica_does_not_load_what_other_steps_stand_on() -> None:
    run(ONE_STEP)


STARTER = """
import sys
import serve_app.main, serve_app.app
loaded = {"lancedb", "duckdb", "openvino", "torch", "serve_app.api.http"}
assert not loaded & sys.modules.keys(), loaded & sys.modules.keys()
"""


def test_the_starting_process_loads_no_store_and_no_network() -> None:
    run(STARTER)


def test_what_is_left_out_of_rays_node_is_there_to_be_left_out() -> None:
    run("from serve_app.lean import leave_out_processes as leave_out; leave_out()")
