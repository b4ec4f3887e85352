"""Long videos, which are read and embedded in parts: no frames are held but those of one part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dubl.media.evidence_store import together
from dubl.types import Described, Note, Thumbnails, VideoFeatures


def joined(
    thumbnails: Sequence[Thumbnails], features: Sequence[Sequence[VideoFeatures]]
) -> Described:
    """One video from the thumbnails of all its parts, and the features of those with frames.

    features: for each part, those in each space.
    """
    facts = [one.facts for one in thumbnails]
    found = dict.fromkeys(note for one in facts for note in one.notes)
    seen = [one.notes for part in features for one in part]
    notes = tuple(
        note
        for note in found
        if note is not Note.NOTHING_TO_SEE or all(note in each for each in seen)
    )
    damaged = any(one.damaged for one in facts)
    return Described(
        thumbnails=together(thumbnails),
        features=tuple(
            replace(_joined(space), damaged=damaged, notes=notes)
            for space in zip(*features, strict=True)
        ),
    )


def _joined(parts: Sequence[VideoFeatures]) -> VideoFeatures:
    stages = dict.fromkeys(stage for part in parts for stage in part.timings_ms)
    return replace(
        parts[0],
        descriptors=np.concatenate([part.descriptors for part in parts]),
        region_features=np.concatenate([part.region_features for part in parts]),
        timestamps_s=np.concatenate([part.timestamps_s for part in parts]),
        views=np.concatenate([part.views for part in parts]),
        timings_ms={
            stage: sum(part.timings_ms.get(stage, 0.0) for part in parts) for stage in stages
        },
    )
