"""The loop that training runs share: rate, loss curves, checkpoints, measurements and workers.

A run that continues from a checkpoint ends as an uninterrupted one.
"""

from __future__ import annotations

import json
import logging
import math
import pickle
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from dubl.errors import ConfigurationError
from dubl.plots import loss_curves
from dubl.training.config import RunLength
from dubl.training.workers import Workers

logger = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)

# What a file raises that is cut off, damaged, or of another run.
CHECKPOINT_ERRORS = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    pickle.UnpicklingError,
)


class LossPoint(NamedTuple):
    """Means of the loss terms over the steps since the point before."""

    step: int
    elapsed_s: float
    terms: Mapping[str, float]


class TrainingLoop(ABC, Generic[Network]):
    """One run; trains `network` in place. A subclass computes the steps.

    Several workers train one network, each on its own batches.
    """

    def __init__(
        self,
        network: Network,
        optimizer: torch.optim.Optimizer,
        length: RunLength,
        *,
        warmup_steps: int,
        gradient_norm: float,
        least_rate: float,
    ) -> None:
        """`optimizer`: each group has its highest rate as "peak". `least_rate`: share of the peak
        at the end of the run."""
        self.network, self.optimizer, self.length = network, optimizer, length
        self.workers = Workers.current()
        self.workers.share(network)
        self.history: list[LossPoint] = []
        self.step, self.elapsed_s, self.measured_s = 0, 0.0, 0.0
        self._warmup_steps, self._gradient_norm = warmup_steps, gradient_norm
        self._least_rate = least_rate
        self._recent: list[Mapping[str, float]] = []

    @abstractmethod
    def train_next(self) -> Mapping[str, Tensor]:
        """Makes one update with this worker's batch of `step`; returns the loss terms before it."""

    @property
    @abstractmethod
    def result(self) -> Network:
        """The network that is measured and exported."""

    @abstractmethod
    def measurement_is_due(self) -> bool:
        """Whether to measure `result` after this step. After the last one it is always measured."""

    @property
    def progress(self) -> float:
        """Share of the run that is done, in [0,1]: by steps or by time, the larger."""
        share = max(self.step / self.length.steps, self.elapsed_s / self.length.time_limit_s)
        return min(share, 1.0)

    def run(self, checkpoint: Path, *, on_validation: Callable[[Network, int], None]) -> None:
        """Trains to the end of the run.

        A step is measured before its checkpoint is written, so an interrupted run repeats the
        measurement rather than skips it.
        """
        while self.progress < 1:
            started = time.monotonic()
            self.step += 1
            terms = self.train_next()
            values = torch.stack([value.detach() for value in terms.values()]).tolist()
            self._recent.append(dict(zip(terms, values, strict=True)))
            self.elapsed_s += time.monotonic() - started
            if self.step % self.length.log_every == 0:
                self._log()
            if self.workers.leads:
                self._keep(checkpoint, on_validation)
            self.elapsed_s = self.workers.leaders(self.elapsed_s)

    def update(self, loss: Tensor) -> None:
        """One step of the optimizer down the loss."""
        rate = share_of_peak(
            self.step,
            warmup_steps=self._warmup_steps,
            progress=self.progress,
            floor=self._least_rate,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        trained = [value for value in self.network.parameters() if value.requires_grad]
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([loss])
        self.workers.average_gradients(trained)
        torch.nn.utils.clip_grad_norm_(trained, self._gradient_norm)
        self.optimizer.step()

    def curves(self, *names: str) -> dict[str, list[float]]:
        """The loss terms of these names over the run."""
        return {name: [point.terms[name] for point in self.history] for name in names}

    def state(self) -> dict[str, object]:
        """Content of a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "history": [(point.step, point.elapsed_s, dict(point.terms)) for point in self.history],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Sets the run to a `state`."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.elapsed_s = self.measured_s = state["elapsed_s"]
        self.history = [LossPoint(*values) for values in state["history"]]

    def save(self, path: Path) -> None:
        """Writes a checkpoint, atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save(self.state(), partial)
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Continues from a checkpoint. Raises ConfigurationError when it does not fit this run."""
        try:
            self.restore(torch.load(path, map_location="cpu", weights_only=True))
        except CHECKPOINT_ERRORS as exc:
            raise ConfigurationError(f"{path} is no checkpoint of this run") from exc
        logger.info("resumed at step %d", self.step)

    def _keep(self, checkpoint: Path, on_validation: Callable[[Network, int], None]) -> None:
        if self.progress >= 1 or self.measurement_is_due():
            started = time.monotonic()
            on_validation(self.result, self.step)
            self.elapsed_s += time.monotonic() - started
            self.measured_s = self.elapsed_s
        if self.progress >= 1 or self.step % self.length.checkpoint_every == 0:
            self.save(checkpoint)

    def _log(self) -> None:
        means = {
            name: sum(terms[name] for terms in self._recent) / len(self._recent)
            for name in self._recent[0]
        }
        self._recent.clear()
        self.history.append(LossPoint(self.step, self.elapsed_s, means))
        shown = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
        logger.info("step %d  %.0f s  %s", self.step, self.elapsed_s, shown)


def share_of_peak(step: int, *, warmup_steps: int, progress: float, floor: float) -> float:
    """Share of the peak rate: linear warm-up times a cosine over `progress` in [0,1], from 1 down
    to `floor`."""
    cosine = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
    return min(step / warmup_steps, 1.0) * cosine


CHECKPOINT = "last.pt"
RESULTS = "validation.json"

Figures = TypeVar("Figures")


class RunFolder(Generic[Figures]):
    """Checkpoint, figures by step and loss curves of one run.

    `score` of figures decides which step is best; `baseline` is the name of figures that do not
    take part.
    """

    def __init__(
        self, path: Path, score: Callable[[Figures], float], *, baseline: str | None = None
    ) -> None:
        self.path, self._score, self._baseline = path, score, baseline
        self.results: dict[str, Figures] = {}

    def train(
        self,
        trainer: TrainingLoop[Network],
        *,
        resume: bool,
        validate: Callable[[Network, int], None],
        start: Callable[[], None],
    ) -> Path:
        """Trains to the end, from the checkpoint if there is one to resume, else after `start` on
        the leader; returns the folder of the export.

        Raises ConfigurationError for a checkpoint or figures that are damaged.
        """
        last = self.path / CHECKPOINT
        if resume and last.is_file():
            trainer.resume(last)
            self._read()
        elif trainer.workers.leads:
            start()
        trainer.run(last, on_validation=validate)
        return self.path / "export"

    def is_best(self, name: str, figures: Figures) -> bool:
        """Whether no other step was as good."""
        others = (value for key, value in self.results.items() if key not in (name, self._baseline))
        return self._score(figures) > max(map(self._score, others), default=-1.0)

    def note(self, name: str, figures: Figures, losses: Mapping[str, Sequence[float]]) -> None:
        """Writes all figures, atomically, and the loss curves."""
        self.results[name] = figures
        self.path.mkdir(parents=True, exist_ok=True)
        loss_curves(losses).savefig(self.path / "loss.png")
        partial = self.path / f"{RESULTS}.partial"
        partial.write_text(json.dumps(self.results, indent=1), encoding="utf-8")
        partial.replace(self.path / RESULTS)

    def _read(self) -> None:
        try:
            self.results = json.loads((self.path / RESULTS).read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            raise ConfigurationError(
                f"{self.path / RESULTS} is not that of a run: begin anew in another folder"
            ) from exc


def require_fresh(folder: Path) -> None:
    """Raises ConfigurationError if the folder already has a run, so that it is not overwritten."""
    if (folder / CHECKPOINT).is_file():
        raise ConfigurationError(
            f"{folder} holds a run already: go on with --resume, or choose another folder"
        )
