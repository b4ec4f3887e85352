"""Fits comparator and calibration to a user's own notion of a copy, given as labeled pairs.

The output is a complete model folder for `model.weights`: the unchanged frame network, the tuned
comparator and a calibration. It also has `pairs.json` (the probability of each pair, by a
comparator that was not tuned on it), `left_out.json` (videos that could not be read) and
`loss.png`.
"""

from __future__ import annotations

import copy
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dubl.assembly import (
    calibration_of,
    feature_spec,
    query_sampling,
    reference_sampling,
    weights_folder,
)
from dubl.errors import ConfigurationError, InputError, ResourceError
from dubl.matching.calibration import (
    BACKGROUND_FILE,
    CALIBRATION_FILE,
    Calibration,
    Signals,
    load_background,
    probability,
    save_calibration,
)
from dubl.matching.fitting import NoFeatures, fit_weights, separation
from dubl.matching.reranker import Comparison, ViSiLReranker
from dubl.matching.signals import alike_views, spans
from dubl.media.sources import local_source
from dubl.models.cards import CARD_FILE, WEIGHTS_FILE, ModelCard
from dubl.models.comparator import load_comparator, save_comparator
from dubl.models.numpy_comparator import NumpyComparator
from dubl.models.visil import Visil
from dubl.models.visil_config import VisilConfig
from dubl.plots import loss_curves
from dubl.ports import Decoder, Embedder
from dubl.settings import Settings
from dubl.training.pair_tuning import PairTrainer, RegionPair
from dubl.training.pairs import LabeledPair
from dubl.training.run_folder import CHECKPOINT
from dubl.types import Sampling, Segment, VideoFeatures

logger = logging.getLogger(__name__)

FOLDS = 3
STEPS = 200
FEWEST = 3  # pairs of either label


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPair:
    """A labeled pair whose videos could be read."""

    labeled: LabeledPair
    query: VideoFeatures
    reference: VideoFeatures


class PairRun:
    """Embeds the videos, tunes, calibrates, and writes the folder."""

    def __init__(
        self, settings: Settings, folder: Path, *, decoder: Decoder, embedder: Embedder
    ) -> None:
        self._settings, self._folder = settings, folder
        self._decoder, self._embedder = decoder, embedder
        self._base = weights_folder(settings)
        self._calibration = calibration_of(self._base)
        self._features: dict[tuple[Path, float], VideoFeatures | None] = {}
        self._left_out: dict[str, str] = {}

    def run(self, labeled: Sequence[LabeledPair], *, steps: int = STEPS, seed: int = 0) -> Path:
        """Raises ConfigurationError when too few pairs of a label can be read."""
        torch.set_num_threads(self._settings.model.threads)
        torch.manual_seed(seed)
        self._folder.mkdir(parents=True, exist_ok=True)
        pairs = self.embedded(labeled)
        self._write("left_out.json", self._left_out)
        copies = sum(pair.labeled.copy for pair in pairs)
        if min(copies, len(pairs) - copies) < FEWEST:
            raise ConfigurationError(
                f"{copies} copies and {len(pairs) - copies} others can be read; {FEWEST} of each "
                "are needed"
            )
        samples = self._samples(pairs)
        start = load_comparator(self._base) or Visil(
            VisilConfig(dims=self._embedder.spec.region_dims)
        )
        signals = self._unseen_signals(pairs, samples, start, steps=steps, seed=seed)
        calibration = self._fitted(signals, [pair.labeled.copy for pair in pairs])
        trainer = self._tuned(start, samples, steps=steps, seed=seed)
        loss_curves(trainer.curves("loss")).savefig(self._folder / "loss.png")
        self._export(trainer.network, calibration, len(pairs))
        chances = [probability(one, calibration) for one in signals]
        self._write(
            "pairs.json",
            [
                {
                    "query": str(pair.labeled.query),
                    "reference": str(pair.labeled.reference),
                    "label": int(pair.labeled.copy),
                    "probability": round(chance, 4),
                }
                for pair, chance in zip(pairs, chances, strict=True)
            ],
        )
        return self._folder

    def embedded(self, labeled: Sequence[LabeledPair]) -> list[EmbeddedPair]:
        """The pairs both of whose videos decode."""
        pairs = []
        for one in labeled:
            query = self._embed(one.query, query_sampling(self._settings))
            reference = self._embed(one.reference, reference_sampling(self._settings))
            if query is not None and reference is not None:
                pairs.append(EmbeddedPair(labeled=one, query=query, reference=reference))
        return pairs

    def _embed(self, path: Path, sampling: Sampling) -> VideoFeatures | None:
        """Features of a video, once for each rate; None where it does not decode."""
        key = (path, sampling.rate_hz)
        if key not in self._features:
            try:
                source = local_source(path, sha256="")
                clip = self._decoder.decode(source, sampling=sampling)
                self._features[key] = self._embedder.embed([clip])[0]
            except (InputError, ResourceError) as exc:
                logger.warning("%s was skipped: %s", path, exc.detail)
                self._left_out[str(path)] = exc.detail
                self._features[key] = None
        return self._features[key]

    def _reranker(self, folder: Path) -> ViSiLReranker:
        comparator = NumpyComparator(folder)
        background = load_background(self._base, self._calibration)
        # The comparator's signal is wanted, whatever it weighs so far.
        weights = {**self._calibration.weights, "comparator": 1.0}
        calibration = replace(self._calibration, weights=weights)
        return ViSiLReranker(
            NoFeatures(), comparator, calibration, self._settings.matching, background
        )

    def _samples(self, pairs: Sequence[EmbeddedPair]) -> list[RegionPair]:
        """The best segment of each pair on both sides; both whole videos if there is none."""
        reranker = self._reranker(self._base)
        samples = []
        for pair in pairs:
            segments = _compared(reranker, pair).segments
            segment = segments[0] if segments else _everything(pair)
            views = alike_views(segment, pair.query, pair.reference)
            ours, theirs = spans(segment, pair.query, pair.reference, views)
            samples.append(
                RegionPair(
                    query=torch.from_numpy(ours.copy()).float(),
                    reference=torch.from_numpy(theirs).float(),
                    copy=pair.labeled.copy,
                )
            )
        return samples

    def _unseen_signals(
        self,
        pairs: Sequence[EmbeddedPair],
        samples: Sequence[RegionPair],
        start: Visil,
        *,
        steps: int,
        seed: int,
    ) -> list[Signals]:
        """Signals of each pair by a comparator tuned on the pairs of other queries.

        A comparator scores the pairs it was tuned on too well, which would raise its weight.
        """
        queries = sorted({pair.labeled.query for pair in pairs})
        order = np.random.default_rng(seed).permutation(len(queries))
        folds = {query: int(place) % FOLDS for query, place in zip(queries, order, strict=True)}
        found: list[Signals] = [Signals()] * len(pairs)
        for fold in range(FOLDS):
            inside = [folds[pair.labeled.query] == fold for pair in pairs]
            seen = [one for one, held_out in zip(samples, inside, strict=True) if not held_out]
            folder = self._folder / f"fold{fold}"
            trainer = self._tuned(start, seen, steps=steps, seed=seed)
            save_comparator(folder, trainer.network, ModelCard(name="fold"))
            reranker = self._reranker(folder)
            for place, pair in enumerate(pairs):
                if inside[place]:
                    found[place] = _compared(reranker, pair).signals
            shutil.rmtree(folder)
        return found

    def _tuned(
        self, start: Visil, samples: Sequence[RegionPair], *, steps: int, seed: int
    ) -> PairTrainer:
        """The trainer of a tuned copy."""
        network = copy.deepcopy(start).requires_grad_(True)
        trainer = PairTrainer(network, samples, steps=steps, seed=seed)
        trainer.run(self._folder / CHECKPOINT, on_validation=lambda *_: None)
        network.eval()
        (self._folder / CHECKPOINT).unlink()
        return trainer

    def _fitted(self, signals: Sequence[Signals], labels: Sequence[bool]) -> Calibration:
        """The base calibration with weights fitted to the pairs.

        Pairs that may share only an intro are left out, as in pipelines/calibrate.py, unless there
        are no others.
        """
        plain = [place for place, one in enumerate(signals) if not one.shared_edge]
        if len({labels[place] for place in plain}) < 2:
            plain = list(range(len(signals)))
        intercept, weights = fit_weights(
            [signals[place] for place in plain],
            [labels[place] for place in plain],
        )
        result = replace(
            self._calibration,
            intercept=intercept,
            weights=weights,
            description=f"{len(labels)} labeled pairs, {FOLDS}-fold",
        )
        figures = separation([probability(one, result) for one in signals], labels)
        logger.info("pairs that the comparator did not see: %s", figures)
        return replace(result, figures={name: round(value, 4) for name, value in figures.items()})

    def _export(self, network: Visil, calibration: Calibration, count: int) -> None:
        for name in (WEIGHTS_FILE, CARD_FILE, BACKGROUND_FILE):
            if (self._base / name).is_file():
                shutil.copyfile(self._base / name, self._folder / name)
        spec = feature_spec(self._settings)
        card = ModelCard(
            name="s2vs-comparator",
            feature={
                "regions": spec.regions,
                "region_dims": spec.region_dims,
                "weights_sha256": spec.weights_sha256,
            },
            training_data=({"source": "labeled pairs of the user", "license": "", "pairs": count},),
            metrics=calibration.figures,
            notes="Tuned on labeled pairs; the figures are of pairs that it did not see.",
        )
        save_comparator(self._folder, network, card)
        save_calibration(calibration, self._folder / CALIBRATION_FILE)

    def _write(self, name: str, content: object) -> None:
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (self._folder / name).write_text(text, encoding="utf-8")


def _compared(reranker: ViSiLReranker, pair: EmbeddedPair) -> Comparison:
    """Compares the pair alone: the pairs do not represent the library of later checks."""
    return reranker.compare(pair.query, {"reference": pair.reference})["reference"]


def _everything(pair: EmbeddedPair) -> Segment:
    return Segment(
        query_start_s=0.0,
        query_end_s=pair.query.duration_s,
        reference_start_s=0.0,
        reference_end_s=pair.reference.duration_s,
        similarity=0.0,
    )
