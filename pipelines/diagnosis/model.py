"""Findings about model and decoder: they are loaded and run on a small video."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dubl.assembly import (
    calibration_of,
    feature_spec,
    make_decoder,
    make_embedder,
    reference_sampling,
    weights_folder,
)
from dubl.errors import DublError
from dubl.footage.video_file import TimedFrame, write_video
from dubl.media.sources import local_source
from dubl.models.cards import read_weights
from dubl.settings import Settings
from dubl.types import FrameClip
from pipelines.diagnosis.finding import Finding, fine, from_error, problem
from pipelines.diagnosis.machine import REINSTALL

# Frames, pixels and rate of the test video.
FRAMES, SIDE, RATE_HZ = 24, 160, 12.0


def look_at_model(settings: Settings) -> Iterator[Finding]:
    try:
        folder = weights_folder(settings)
        read_weights(folder)
        calibration_of(folder)
    except DublError as exc:
        yield from_error("weights", exc, REINSTALL)
        return
    spec = feature_spec(settings)
    yield fine("weights", f"{spec.model_id}@{spec.weights_sha256[:12]} matches its card")
    try:
        clip = _tried_decoder(settings)
    except DublError as exc:
        yield from_error("decoder", exc, REINSTALL)
        return
    yield fine("decoder", f"{clip.facts.backend} reads {clip.facts.codec} video")
    yield _tried_network(settings, clip)


def _tried_decoder(settings: Settings) -> FrameClip:
    with tempfile.TemporaryDirectory(prefix="dubl-doctor-") as home:
        path = Path(home) / "film.mp4"
        _write_film(path)
        decoder = make_decoder(settings)
        return decoder.decode(local_source(path), sampling=reference_sampling(settings))


def _write_film(path: Path) -> None:
    shades = np.linspace(0, 255, SIDE * SIDE * 3).reshape(SIDE, SIDE, 3)
    pictures = [np.roll(shades, 4 * number, axis=1).astype(np.uint8) for number in range(FRAMES)]
    frames = [
        TimedFrame(time_s=number / RATE_HZ, image=picture)
        for number, picture in enumerate(pictures)
    ]
    write_video(path, frames, frame_rate=RATE_HZ)


def _tried_network(settings: Settings, clip: FrameClip) -> Finding:
    try:
        (features,) = make_embedder(settings).embed([clip])
    except DublError as exc:
        return from_error("network", exc, REINSTALL)
    if not np.isfinite(features.descriptors).all():
        return problem("network", "its output is not finite", "Set `model.device=cpu`.")
    return fine("network", f"embeds {clip.frames.shape[0]} frames")
