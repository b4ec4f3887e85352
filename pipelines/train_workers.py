"""Training on several workers of a Ray cluster (Ray Train), or of this machine.

Every worker runs the code of a single process; dubl.training.workers connects them. Output and data
must have the same paths everywhere: on a cluster, a shared volume. If a worker is lost, all are
restarted and continue from the last checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig, get_context
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.exceptions import TrainingFailedError

from dubl.errors import OperatorError
from pipelines.cluster import prepare_environment

RESTARTS = 2
# The others wait so long for the leader, which may prepare data for hours; that a worker is gone is
# noticed by Ray.
PATIENCE_S = 24 * 3600
RESULT = "result.txt"


def train_on_workers(train: Callable[[], Path], *, output: Path, workers: int) -> Path:
    """Runs `train` on each worker; returns the leader's result.

    `train` continues from an existing checkpoint. Raises OperatorError with the last failure after
    too many failures.
    """
    if not ray.is_initialized():
        prepare_environment()
        ray.init(include_dashboard=False)
    home, answer = Path.cwd(), output / RESULT

    def loop() -> None:
        os.chdir(home)
        result = train()
        if get_context().get_world_rank() == 0:
            answer.write_text(str(result), encoding="utf-8")

    trainer = TorchTrainer(
        loop,
        torch_config=TorchConfig(backend="gloo", timeout_s=PATIENCE_S),
        scaling_config=ScalingConfig(num_workers=workers),
        run_config=RunConfig(
            name="workers",
            storage_path=str(output / "ray"),
            failure_config=FailureConfig(max_failures=RESTARTS),
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as exc:
        reason = str(exc).strip().splitlines()[-1]
        raise OperatorError(f"training on {workers} workers failed: {reason}") from exc
    return Path(answer.read_text(encoding="utf-8"))
