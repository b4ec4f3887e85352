"""Fits comparator and calibration to a user's own notion of a copy, given as labeled pairs.

The output is a complete model folder for `model.weights`: the unchanged frame network, the tuned
comparator and a calibration. It also has `pairs.json` (the probability of each pair, by a
comparator that was not tuned on it), `left_out.json` (videos that could not be read) and
`loss.png`.
"""

from __future__ import annotations

import copy
import csv
import json
import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

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
from dubl.models.numpy_comparator import NumpyComparator
from dubl.models.visil import Visil, load_comparator, save_comparator
from dubl.models.visil_config import VisilConfig
from dubl.plots import loss_curves
from dubl.ports import Decoder, Embedder
from dubl.settings import Settings
from dubl.training.comparator_trainer import VisilTrainer, similarity_regularization
from dubl.training.config import ComparatorRunSettings
from dubl.training.loop import CHECKPOINT
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


COLUMNS = ("query", "reference", "label")
LABELS = {"1": True, "0": False}
SHOWN = 5  # wrong rows in one message

Row = dict[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledPair:
    """Two videos, and whether the user calls the query a copy of the reference."""

    query: Path
    reference: Path
    copy: bool


def read_pairs(path: Path) -> list[LabeledPair]:
    """Reads the CSV; relative paths start at its folder. Raises ConfigurationError with the rows
    that are wrong, the first of them where there are many.

    Rows are counted as in an editor: the header is row 1.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = set(COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise ConfigurationError(f"{path} lacks the columns {', '.join(sorted(missing))}")
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise ConfigurationError(f"{path} is not a readable CSV: {exc}") from exc
    pairs = _valid(path, rows)
    if len({pair.copy for pair in pairs}) < 2:
        raise ConfigurationError(f"{path} must hold pairs of both labels, 1 and 0")
    return pairs


def _valid(path: Path, rows: Sequence[tuple[int, Row]]) -> list[LabeledPair]:
    """The pairs of all rows, each once; a pair may not have both labels."""
    labels: dict[tuple[Path, Path], tuple[bool, int]] = {}
    problems = []
    for number, row in rows:
        pair = _pair(path.parent, row)
        if isinstance(pair, str):
            problems.append(f"row {number}: {pair}")
            continue
        label, before = labels.setdefault((pair.query, pair.reference), (pair.copy, number))
        if label is not pair.copy:
            problems.append(f"row {number}: contradicts row {before}")
    if problems:
        more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
        raise ConfigurationError(f"{path}, {'; '.join(problems[:SHOWN])}{more}")
    return [
        LabeledPair(query=query, reference=reference, copy=copy)
        for (query, reference), (copy, _) in labels.items()
    ]


def _pair(folder: Path, row: Row) -> LabeledPair | str:
    """The pair of a row, or its error."""
    query, reference, label = ((row[name] or "").strip() for name in COLUMNS)
    if label not in LABELS:
        return f"label must be 1 or 0, not '{label}'"
    for name, text in (("query", query), ("reference", reference)):
        if not text or not (folder / text).is_file():
            return f"{name} '{text}' is no file"
    return LabeledPair(query=folder / query, reference=folder / reference, copy=LABELS[label])


PAIRS_PER_STEP = 8
CHANCE_FLOOR = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionPair:
    """Region features [T,R,D] and [U,R,D] of what two videos may share, and the label."""

    query: Tensor
    reference: Tensor
    copy: bool


class PairTrainer(VisilTrainer):
    """Trains on as many copies as others a step, at one rate, without bounds on gradients."""

    def __init__(
        self, network: Visil, pairs: Sequence[RegionPair], *, steps: int, seed: int
    ) -> None:
        settings = ComparatorRunSettings(
            steps=steps, learning_rate=5e-4, warmup_steps=1, gradient_norm=math.inf
        )
        super().__init__(network, settings, least_rate=1.0)
        self._kinds = [[pair for pair in pairs if pair.copy is copy] for copy in (True, False)]
        self._rng = np.random.default_rng(seed)

    def train_next(self) -> Mapping[str, Tensor]:
        self.network.train()
        terms = [
            pair_loss(self.network, kind[int(self._rng.integers(len(kind)))])
            for kind in self._kinds
            for _ in range(PAIRS_PER_STEP // 2)
            if kind
        ]
        loss = torch.stack(terms).mean()
        self.update(loss)
        return {"loss": loss}


def pair_loss(network: Visil, pair: RegionPair) -> Tensor:
    """−log of the chance given to the label, plus how far the comparator leaves [-1,1].

    The chance is the similarity in [0,1], the larger of both directions as in matching.
    """
    query, reference = network.index_video(pair.query), network.index_video(pair.reference)
    similarities, excess = [], []
    for one, other in ((query, reference), (reference, query)):
        raw = network.compare(network.frame_similarity(one, other))
        similarities.append(network.video_similarity(F.hardtanh(raw) / 2 + 0.5))
        excess.append(similarity_regularization(raw))
    chance = torch.cat(similarities).max().clamp(CHANCE_FLOOR, 1 - CHANCE_FLOOR)
    return -(chance if pair.copy else 1 - chance).log() + torch.stack(excess).sum()
