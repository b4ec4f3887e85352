"""Settings for a small and quiet service on one machine, applied before Ray is imported.

Ray Serve starts a dozen processes here, each of which imports Serve. If pandas is installed (for
Ray Data's jobs), Serve imports it everywhere to serialize data frames, which nobody sends: a second
of CPU and 45 MB for each process. LanceDB and pyarrow do not need it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

LEFT_OUT = "pandas"
SETUP_HOOK = "serve_app.lean.leave_out_pandas"

# Ray is made for clusters of thousands of nodes: it looks for work many times a second, keeps
# workers ready that must not import anything yet, and runs loops of their own in each process so
# that blocking code harms nobody. Here nothing blocks a loop: steps work in threads.
QUIET = {
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "5000",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_raylet_report_resources_period_milliseconds": "1000",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_event_stats": "0",
    # Each look for memory that runs out reads the sizes of all processes; Ray looks four times a
    # second.
    "RAY_memory_monitor_refresh_ms": "1000",
    # glibc gives each of the many threads a heap of its own, eight for each core, and each keeps
    # what was once needed at the same time.
    "MALLOC_ARENA_MAX": "2",
}


# Processes of Ray's head node that one machine does not need: the autoscaler's monitor, the one
# that copies the output of workers to whoever started them, the dashboard's server, which runs even
# with include_dashboard=False. Ray has no setting for them. Metrics come from the node's agent.
LEFT_OUT_PROCESSES = ("start_monitor", "start_log_monitor", "start_api_server")


class _Without:
    """An import finder that hides one module."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == LEFT_OUT:
            raise ModuleNotFoundError(f"{LEFT_OUT} is not available in the service", name=name)
        return None


def leave_out_pandas() -> None:
    """Makes imports of pandas fail in this process, as if it were not installed."""
    sys.meta_path.insert(0, _Without())


def leave_out_processes() -> None:
    """Makes `ray.init` start a node without the processes that one machine does not need."""
    from ray._private.node import Node

    for name in LEFT_OUT_PROCESSES:
        if not hasattr(Node, name):
            raise AttributeError(f"this version of Ray has no Node.{name}")
        setattr(Node, name, lambda *_, **__: None)


def be_quiet() -> None:
    """Sets environment variables that are not set yet."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
