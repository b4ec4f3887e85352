"""Files that every training run keeps in its folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from dubl.errors import ConfigurationError
from dubl.plots import loss_curves
from dubl.training.loop import Network, TrainingLoop

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
