"""Verification: the probability of doubtful matches is corrected by their pixel correlation.

The query is decoded again at the instants of the reference's stored pictures. If fewer than
ENOUGH_INSTANTS are stored along the segment, the reference's file is read instead, if possible.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from dubl.errors import DublError, EvidenceNotKept, LeaseLost, StoreUnavailable
from dubl.matching.calibration import Calibration, with_pixels
from dubl.matching.decision import contested
from dubl.matching.pixels import (
    MIN_LOCAL_CORRELATION,
    MIN_PICTURES,
    SIDE,
    LocalCorrelation,
    PixelMotion,
    PlacedPictures,
    registered_pictures,
    unregistered_pictures,
)
from dubl.ports import Decoder, EvidenceStore
from dubl.types import (
    FIRST_STREAM,
    WHOLE_FRAME,
    FrameClip,
    Limit,
    Match,
    MatchSet,
    Reference,
    Sampling,
    Segment,
    Uint8Array,
    VideoSource,
)

logger = logging.getLogger(__name__)

# All values are chosen.
MAX_INSTANTS = 12  # pictures compared along a segment; bounds the time
ENOUGH_INSTANTS = 8  # with fewer stored pictures the reference's file is read
SHIFTS_S = (0.0, -0.04, 0.04, -0.125, 0.125, -0.25, 0.25)  # seconds; alignment is inexact
MIN_BACKWARDS = 0.5  # pixel correlation needed to call a segment reversed, or not reversed
NEARLY_OWN_SPEED = 1.25  # speed, or its inverse, up to which speed 1 is tried as well
MIN_DIFFERENCE_S = 0.03  # seconds between the lengths of both sides that make a difference
SAME_FILE = 0.999  # probability of a match with the very bytes of its reference
EDGE_S = 0.01  # seconds around a segment in which a picture still belongs to it


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Pictures of a reference along a segment, gray uint8 [h,w], and their times in seconds.

    view: of the query's pictures with which they are compared.
    """

    segment: Segment
    pictures: tuple[Uint8Array, ...]
    times_s: tuple[float, ...]
    view: int = WHOLE_FRAME

    @property
    def readings(self) -> list[tuple[Segment, list[float]]]:
        """Hypotheses, most likely first: a segment, and the query times of the pictures by it."""
        shifted = [(self.segment, self._along(self.segment, shift)) for shift in SHIFTS_S]
        others = [(one, self._along(one)) for one in other_readings(self.segment)]
        return [*shifted, *others]

    def _along(self, segment: Segment, shift_s: float = 0.0) -> list[float]:
        return [query_time(at, segment) + shift_s for at in self.times_s]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelCorrelation:
    """The pixel correlation, in [0,1], and the segment with which it was reached.

    places: the correlation that nearly all places reach; 0 unless it proves a copy.
    """

    value: float
    places: float
    segment: Segment

    @property
    def proves(self) -> bool:
        """Whether enough moves, and in nearly all places alike, to prove a copy."""
        return self.places > 0


class Verifier:
    """Corrects the probability of doubtful matches by their pixel correlation."""

    def __init__(
        self,
        store: EvidenceStore,
        calibration: Calibration,
        *,
        sure_probability: float,
        open_file: Callable[[str], VideoSource],
    ) -> None:
        """sure_probability: from which a match is compared only where others are as sure.

        `open_file` opens the file that a reference was registered from; raises DublError.
        """
        self._store = store
        self._calibration = calibration
        self._sure = sure_probability
        self._open_file = open_file

    def verify(
        self,
        source: VideoSource,
        matches: MatchSet,
        doubtful: Collection[str],
        references: Sequence[Reference],
        *,
        decoder: Decoder,
    ) -> MatchSet:
        """All matches with corrected probabilities, most probable first.

        doubtful: ids of the references to compare; references: their rows in the library. The same
        bytes need no look. A match stays unchanged if its pictures are missing or cannot be
        registered; all do if the query cannot be decoded again. Raises StoreUnavailable, and
        LeaseLost if `decoder` was stopped.
        """
        started = time.perf_counter()
        facts = {one.id: one for one in references}
        same = {one.id for one in references if one.sha256 == source.sha256}
        shown = {
            one.reference_id: self._shown(one, facts.get(one.reference_id), decoder)
            for one in matches.matches
            if one.reference_id in doubtful and one.reference_id not in same
        }
        try:
            correlations = correlations_of(source, shown, decoder)
        except (StoreUnavailable, LeaseLost):
            raise
        except DublError as exc:
            logger.warning("pixels were not compared: %s: %s", exc.code, exc.detail)
            correlations = {}
        verified = [
            one.at(max(one.probability, SAME_FILE), "same_bytes", 1.0)
            if one.reference_id in same
            else self._verified(one, correlations.get(one.reference_id))
            for one in matches.matches
        ]
        if not same:
            verified = self._like_those_seen(matches, verified, correlations)
        verified.sort(key=lambda match: (-match.probability, -match.similarity))
        elapsed_ms = (time.perf_counter() - started) * 1e3
        return replace(
            matches,
            matches=tuple(verified),
            timings_ms={**matches.timings_ms, "verify": elapsed_ms},
        )

    def _shown(self, match: Match, reference: Reference | None, decoder: Decoder) -> Shown:
        shown = self._pictures(match, reference, decoder)
        if match.video_stream is None:
            return shown
        return replace(shown, view=FIRST_STREAM + match.video_stream)

    def _pictures(self, match: Match, reference: Reference | None, decoder: Decoder) -> Shown:
        shown = shown_along(match.segments[0], match.reference_id, self._store)
        if len(shown.pictures) >= ENOUGH_INSTANTS or reference is None:
            return shown
        try:
            return shown_in_file(match.segments[0], self._file(reference), decoder)
        except (StoreUnavailable, LeaseLost):
            raise
        except DublError as exc:
            logger.info("the file of reference %s was not read: %s", reference.id, exc.detail)
            return shown

    def _file(self, reference: Reference) -> VideoSource:
        """The stored copy of an upload, else the registered file. Raises DublError."""
        try:
            return self._store.reference_file(reference.id)
        except EvidenceNotKept:
            file = self._open_file(reference.source)
        if file.sha256 != reference.sha256:
            raise EvidenceNotKept("the reference's file has changed since it was registered")
        return file

    def _verified(self, match: Match, correlation: PixelCorrelation | None) -> Match:
        if correlation is None:
            return match
        chance = with_pixels(
            match.probability, correlation.value, correlation.places, self._calibration
        )
        seen = match.at(chance, "pixels", correlation.value).below(match.ceiling, match.ceiling_by)
        if not correlation.proves:
            # A clock, one cut or the same way of a camera raises nothing beyond what a person
            # should look at. Nor may one of several references that are as sure.
            sure = match.probability >= self._sure
            most = max(0.0 if sure else match.probability, self._calibration.edge_ceiling)
            seen = seen.below(most, Limit.CONTESTED if sure else Limit.UNPROVEN)
        return replace(
            seen,
            agreement=correlation.value,
            still=match.still and not correlation.proves,
            segments=(correlation.segment, *match.segments[1:]),
        )

    def _like_those_seen(
        self,
        matches: MatchSet,
        verified: Sequence[Match],
        correlations: Mapping[str, PixelCorrelation],
    ) -> list[Match]:
        """Matches that were not compared are no surer than those of their versions that were, if
        pixels prove none of these."""
        seen = [one for one in matches.matches if one.reference_id in correlations]
        seen = [one for one in seen if one.probability >= self._sure]
        if not seen or any(correlations[one.reference_id].proves for one in seen):
            return list(verified)
        most = self._calibration.edge_ceiling
        return [
            one.below(most, Limit.CONTESTED)
            if one.reference_id not in correlations and contested(one, matches, seen)
            else one
            for one in verified
        ]


def shown_along(segment: Segment, reference_id: str, store: EvidenceStore) -> Shown:
    """Stored pictures of a reference along a segment; none if nothing is stored."""
    try:
        times_s = instants(store.reference(reference_id).picture_times_s, segment)
        pictures = tuple(gray(store.reference_picture(reference_id, at)) for at in times_s)
    except EvidenceNotKept:
        return Shown(segment=segment, pictures=(), times_s=())
    return Shown(segment=segment, pictures=pictures, times_s=tuple(times_s))


def shown_in_file(segment: Segment, file: VideoSource, decoder: Decoder) -> Shown:
    """Pictures of a reference's file at MAX_INSTANTS along a segment. Raises as `decode` does."""
    start_s, end_s = segment.reference_start_s, segment.reference_end_s
    wanted = np.linspace(start_s, end_s, MAX_INSTANTS).round(3)
    clip = decoder.decode(file, sampling=_whole_frames(sorted(set(wanted.tolist()))))
    size = clip.facts.size_within(SIDE)
    pictures = [np.asarray(cv2.resize(_gray(frame), size), np.uint8) for frame in clip.frames]
    return Shown(
        segment=segment, pictures=tuple(pictures), times_s=tuple(clip.timestamps_s.tolist())
    )


def other_readings(segment: Segment) -> list[Segment]:
    """Other hypotheses about the segment, which features cannot tell apart in calm scenes.

    The segment reversed; and, if its speed is within 25 % of 1, the segment at exactly speed 1,
    anchored at its start or at its end.
    """
    turned = replace(segment, reversed=not segment.reversed)
    query_s = segment.query_end_s - segment.query_start_s
    reference_s = segment.reference_end_s - segment.reference_start_s
    nearly_own = 1 / NEARLY_OWN_SPEED <= segment.speed <= NEARLY_OWN_SPEED
    if segment.reversed or not nearly_own or abs(query_s - reference_s) < MIN_DIFFERENCE_S:
        return [turned]
    length_s = min(query_s, reference_s)
    from_start = replace(
        segment,
        query_end_s=segment.query_start_s + length_s,
        reference_end_s=segment.reference_start_s + length_s,
    )
    to_end = replace(
        segment,
        query_start_s=segment.query_end_s - length_s,
        reference_start_s=segment.reference_end_s - length_s,
    )
    return [turned, from_start, to_end]


def correlations_of(
    source: VideoSource, shown: Mapping[str, Shown], decoder: Decoder
) -> dict[str, PixelCorrelation]:
    """The pixel correlation of the query with each reference, by id, where it can be measured."""
    wanted = _instants_of(shown.values())
    if not wanted:
        return {}
    further = any(one.view != WHOLE_FRAME for one in shown.values())
    sampling = replace(_whole_frames(wanted), every_stream=further)
    clip = decoder.decode(source, sampling=sampling)
    found = {
        identifier: _correlation(one, clip) for identifier, one in shown.items() if one.pictures
    }
    return {identifier: value for identifier, value in found.items() if value is not None}


def local_correlation_of(
    source: VideoSource, shown: Shown, decoder: Decoder
) -> LocalCorrelation | None:
    """The local correlation of the query with the reference, by the hypothesis that fits best.

    Without registration where the pictures show too little for it. None if nothing changes.
    Raises as `decode` does.
    """
    if len(shown.pictures) < MIN_PICTURES:
        return None
    clip = decoder.decode(source, sampling=_whole_frames(_instants_of([shown])))
    _, rows = _rows(shown, clip)
    placed = registered_pictures(shown.pictures, rows)
    if placed is not None and (motions := placed.motions):
        return _places(placed, _best(motions), shown, rows)
    as_they_lie = unregistered_pictures(shown.pictures, rows)
    found = [as_they_lie.by_place(row) for row in range(len(rows))]
    return max((one for one in found if one), key=lambda one: one.most, default=None)


def _correlation(shown: Shown, clip: FrameClip) -> PixelCorrelation | None:
    segments, rows = _rows(shown, clip)
    placed = registered_pictures(shown.pictures, rows) if rows else None
    motions = placed.motions if placed else ()
    if placed is None or not motions:
        return None
    best = _best(motions)
    value = motions[best].correlation
    segment = segments[best]
    if segment.reversed != shown.segment.reversed and value <= MIN_BACKWARDS:
        segment = shown.segment
    proves = motions[best].proves and value >= MIN_LOCAL_CORRELATION
    local = _places(placed, best, shown, rows) if proves else None
    places = local.most if local is not None and local.alike else 0.0
    return PixelCorrelation(value=value, places=places, segment=segment)


def _places(
    placed: PlacedPictures, best: int, shown: Shown, rows: Sequence[Sequence[Uint8Array]]
) -> LocalCorrelation | None:
    """By place, for the best row: by its own registration, if that is another and succeeds."""
    own = registered_pictures(shown.pictures, [rows[best]]) if best else None
    return own.by_place(0) if own else placed.by_place(best)


def _rows(shown: Shown, clip: FrameClip) -> tuple[list[Segment], list[list[Uint8Array]]]:
    """The segment of each reading, and the query's gray pictures by it.

    No pictures if the clip has none of the view.
    """
    inside = np.flatnonzero(clip.views == shown.view)
    segments = [segment for segment, _ in shown.readings]
    if not len(inside):
        return segments, []
    return segments, [
        [_picture_at(clip, inside, at) for at in times_s] for _, times_s in shown.readings
    ]


def _best(motions: Sequence[PixelMotion]) -> int:
    """The row of the highest correlation; among equals the first, which is the most likely."""
    return int(np.argmax([one.correlation for one in motions]))


def _instants_of(shown: Collection[Shown]) -> list[float]:
    """Query seconds, ascending, of all readings."""
    return sorted(
        {round(max(0.0, at), 3) for one in shown for _, times_s in one.readings for at in times_s}
    )


def instants(picture_times_s: Sequence[float], segment: Segment) -> list[float]:
    """Times of the reference's pictures along the segment, thinned to MAX_INSTANTS."""
    start_s, end_s = segment.reference_start_s - EDGE_S, segment.reference_end_s + EDGE_S
    inside = [at for at in picture_times_s if start_s <= at <= end_s]
    if len(inside) <= MAX_INSTANTS:
        return inside
    return [inside[int(row)] for row in np.linspace(0, len(inside) - 1, MAX_INSTANTS)]


def query_time(reference_time_s: float, segment: Segment) -> float:
    """The query second that corresponds to a reference second by the segment."""
    length_s = max(segment.reference_end_s - segment.reference_start_s, 1e-6)
    share = (reference_time_s - segment.reference_start_s) / length_s
    if segment.reversed:
        share = 1.0 - share
    return segment.query_start_s + share * (segment.query_end_s - segment.query_start_s)


def gray(jpeg: bytes) -> Uint8Array:
    """A stored picture, gray uint8 [h,w]. Raises EvidenceNotKept if it is damaged."""
    content = np.frombuffer(jpeg, dtype=np.uint8)
    # cv2.imdecode raises its own error for empty input.
    picture = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None
    if picture is None:
        raise EvidenceNotKept("a stored picture is damaged")
    return np.asarray(picture, dtype=np.uint8)


def _picture_at(clip: FrameClip, inside: NDArray[np.int64], at_s: float) -> Uint8Array:
    nearest = int(inside[np.abs(clip.timestamps_s[inside] - at_s).argmin()])
    return _gray(clip.frames[nearest])


def _gray(frame: Uint8Array) -> Uint8Array:
    converted: Uint8Array = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return converted


def _whole_frames(times_s: Sequence[float]) -> Sampling:
    return Sampling(
        rate_hz=1.0, min_frames=1, frame_size=SIDE, views="whole", times_s=tuple(times_s)
    )
