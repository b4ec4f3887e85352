"""Hints about the edits of a copy, measured on pairs of corresponding pictures, for reviewers.

Hypotheses are: one picture lies in the other, whole or in part; upright, mirrored or rotated; in
one of several sizes. Each is scored by normalized cross-correlation of fine structure. The best one
is reported if it fits clearly better than the unchanged pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dubl.types import Box, Float32Array, Hint, HintKind, Segment, Uint8Array

# All values are chosen on edited pictures; hints inform reviewers and decide no outcome.
SIDE = 96  # pixels, longer side of the compared pictures
BLUR = 4  # pixels, radius of the blur that is subtracted
SCALES = (1.0, 0.93, 0.87, 0.8, 0.74, 0.68, 0.63, 0.58, 0.53, 0.49, 0.45, 0.41, 0.37, 0.33, 0.29)
MIN_SIDE = 18  # pixels of the inner picture's shorter side; smaller ones fit anywhere
CONVINCING = 0.42  # least correlation of a reported hypothesis
CLEARLY = 0.08  # least gain of correlation over the unchanged pictures
NEARLY_ALL = 0.9  # share of the area; above it a crop or inset is not reported
OWN_SPEED = 0.03  # difference from speed 1 that is not reported
END_ERROR_S = 0.75  # seconds, usual error of both ends of a segment together
GRAY_CHROMA = 6.0  # gray levels between color channels; a gray query is below
COLORED_CHROMA = 12.0  # gray levels between color channels; a colored reference is above

Plane = NDArray[np.float64]
Turn = Callable[[Plane], Plane]
TURNS: dict[str, Turn] = {
    "": lambda plane: plane,
    "mirrored": lambda plane: plane[:, ::-1],
    "rotated_90": lambda plane: np.rot90(plane, -1),
    "rotated_180": lambda plane: np.rot90(plane, 2),
    "rotated_270": lambda plane: np.rot90(plane, 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePair:
    """Pictures of query and reference at the same instant, uint8 [H,W,3] each."""

    query: Uint8Array
    reference: Uint8Array


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """Correlation of a hypothesis, and the place of one picture in the other."""

    score: float
    turn: str = ""
    inset: bool = True
    box: Box | None = None


def edit_hints(segments: Sequence[Segment], pairs: Sequence[PicturePair]) -> tuple[Hint, ...]:
    """Hints from the segments' times and, if there are pairs, from the pictures."""
    hints = _time_hints(segments)
    if not pairs:
        return tuple(hints)
    fit = _best_fit(pairs)
    if fit.turn == "mirrored":
        hints.append(Hint(kind=HintKind.MIRRORED))
    elif fit.turn:
        hints.append(Hint(kind=HintKind.ROTATED, value=float(fit.turn.removeprefix("rotated_"))))
    if fit.box is not None and fit.box.width * fit.box.height < NEARLY_ALL:
        kind = HintKind.INSET if fit.inset else HintKind.CROPPED
        hints.append(Hint(kind=kind, value=fit.box.width * fit.box.height, box=fit.box))
    if _is_grayed(pairs):
        hints.append(Hint(kind=HintKind.GRAY))
    return tuple(hints)


def _time_hints(segments: Sequence[Segment]) -> list[Hint]:
    if not segments:
        return []
    best, hints = segments[0], []
    if best.reversed:
        hints.append(Hint(kind=HintKind.REVERSED))
    length_s = max(best.query_end_s - best.query_start_s, 1e-6)
    if abs(best.speed - 1.0) > max(OWN_SPEED, END_ERROR_S / length_s):
        hints.append(Hint(kind=HintKind.SPEED, value=best.speed))
    return hints


def _best_fit(pairs: Sequence[PicturePair]) -> _Fit:
    planes = [(_plane(pair.query), _plane(pair.reference)) for pair in pairs]
    as_they_are = _fit_of(planes, "", 1.0, inset=True)
    fits = [
        _fit_of(planes, turn, scale, inset=inset)
        for turn in TURNS
        for inset in (True, False)
        for scale in SCALES
    ]
    best = max(fits, key=lambda fit: fit.score)
    clear = best.score >= max(CONVINCING, as_they_are.score + CLEARLY)
    return best if clear else as_they_are


def _fit_of(planes: Sequence[tuple[Plane, Plane]], turn: str, scale: float, *, inset: bool) -> _Fit:
    """Fits the turned reference into the query (`inset`), or the query into the turned reference.

    A scale of 1 stretches one picture over the other, whatever their shapes.
    """
    found = []
    for query, reference in planes:
        turned = TURNS[turn](reference)
        outer, inner = (query, turned) if inset else (turned, query)
        found.append(_correlation(outer, _scaled(inner, outer, scale)))
    score = float(np.mean([value for value, _ in found]))
    boxes = [box for _, box in found]
    middle = boxes[int(np.argmax([value for value, _ in found]))]
    return _Fit(score=score, turn=turn, inset=inset, box=middle)


def _plane(picture: Uint8Array) -> Plane:
    """Fine structure of the luma, longer side SIDE. Light and color have no influence."""
    image = Image.fromarray(picture).convert("L")
    longer = max(image.size)
    size = (max(1, round(image.width * SIDE / longer)), max(1, round(image.height * SIDE / longer)))
    image = image.resize(size)
    coarse = np.asarray(image.filter(ImageFilter.GaussianBlur(BLUR)), dtype=np.float64)
    fine = np.asarray(image.filter(ImageFilter.GaussianBlur(0.6)), dtype=np.float64)
    return fine - coarse


def _scaled(inner: Plane, outer: Plane, scale: float) -> Plane:
    height, width = outer.shape
    if scale < 1.0:
        fitting = min(height / inner.shape[0], width / inner.shape[1]) * scale
        height, width = round(inner.shape[0] * fitting), round(inner.shape[1] * fitting)
    image = Image.fromarray(inner.astype(np.float32))
    return np.asarray(image.resize((max(1, width), max(1, height))), dtype=np.float64)


def _correlation(outer: Plane, inner: Plane) -> tuple[float, Box]:
    """The greatest normalized cross-correlation of `inner` in `outer`, and its place."""
    height, width = inner.shape
    rows, columns = outer.shape
    whole = Box(left=0.0, top=0.0, width=1.0, height=1.0)
    if min(height, width) < MIN_SIDE or height > rows or width > columns:
        return 0.0, whole
    centered = inner - inner.mean()
    energy = float((centered**2).sum())
    spectrum = np.fft.rfft2(outer) * np.conj(np.fft.rfft2(centered, s=outer.shape))
    products = np.fft.irfft2(spectrum, s=outer.shape)[: rows - height + 1, : columns - width + 1]
    count = height * width
    spread = _window_sums(outer**2, height, width) - _window_sums(outer, height, width) ** 2 / count
    values = products / np.sqrt(np.maximum(spread * energy, 1e-9 + count))
    place = int(values.argmax())
    top, left = divmod(place, values.shape[1])
    box = Box(left=left / columns, top=top / rows, width=width / columns, height=height / rows)
    return float(values.flat[place]), box


def _window_sums(plane: Plane, height: int, width: int) -> Plane:
    """Sums over all windows of height x width: [H-height+1, W-width+1]."""
    total = np.zeros((plane.shape[0] + 1, plane.shape[1] + 1))
    total[1:, 1:] = plane.cumsum(axis=0).cumsum(axis=1)
    sums: Plane = (
        total[height:, width:]
        - total[:-height, width:]
        - total[height:, :-width]
        + total[:-height, :-width]
    )
    return sums


def _is_grayed(pairs: Sequence[PicturePair]) -> bool:
    ours = np.mean([_chroma(pair.query) for pair in pairs])
    theirs = np.mean([_chroma(pair.reference) for pair in pairs])
    return bool(ours < GRAY_CHROMA and theirs > COLORED_CHROMA)


def _chroma(picture: Uint8Array) -> float:
    """Mean difference between the color channels, in gray levels."""
    spread: Float32Array = np.ptp(picture.astype(np.float32), axis=2)
    return float(spread.mean())
