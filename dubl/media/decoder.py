"""The decoder: probes a file, plans its rows, and reads them with a backend.

Tests decided which backend serves which input; docs/understand/decoding.md has the table. PyAV
reads all that decord reads, and more, at no greater cost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from dubl.errors import (
    DecodeTimeout,
    DublError,
    ExtraMissing,
    MediaError,
    NoVideoStream,
    TruncatedVideo,
    VideoInParts,
)
from dubl.media.blanks import is_blank, without_short_blanks
from dubl.media.deadline import Deadline
from dubl.media.decord_backend import DecordReader, decord_is_installed
from dubl.media.probe import Probe, check_not_short, probe_file
from dubl.media.pyav_backend import PyAvReader
from dubl.media.readers import FrameReader, Reading
from dubl.media.sampling import SamplingPlan, max_rows, plan_rows
from dubl.media.sound_alone import read_sound
from dubl.media.stills import read_still
from dubl.media.views import MAX_ROWS, WORKING_SIDE, Views, has_views, views_of, whole_frames
from dubl.settings import MediaSettings
from dubl.types import (
    FIRST_STREAM,
    MAX_FURTHER_STREAMS,
    Float64Array,
    FrameClip,
    Note,
    Sampling,
    VideoFacts,
    VideoSource,
)

logger = logging.getLogger(__name__)


class FileDecoder:
    """Decodes in this process (ports.Decoder). Threads may share one.

    Raises ExtraMissing if the settings name decord and it is not installed.
    """

    def __init__(self, settings: MediaSettings) -> None:
        if settings.backend == "decord" and not decord_is_installed():
            raise ExtraMissing("media.backend is decord: pip install 'dubl[decord]'.")
        self._settings = settings
        self._pyav = PyAvReader(settings)
        self._decord = DecordReader(settings) if settings.backend == "decord" else None

    def decode(self, source: VideoSource, *, sampling: Sampling) -> FrameClip:
        """Reads sampled frames. Raises MediaError or DecodeTimeout, with the file's name as
        context."""
        started = time.perf_counter()
        try:
            clip = self._clip_of(source.path, sampling)
        except DublError as exc:
            raise exc.with_context({"name": source.name}) from exc
        elapsed_ms = (time.perf_counter() - started) * 1e3
        return replace(clip, timings_ms={"decode": elapsed_ms})

    def parts(self, source: VideoSource, *, sampling: Sampling) -> Iterator[FrameClip]:
        """The rows that `decode` refuses with VideoInParts, in clips of at most
        `sampling.part_rows`, each read when it is asked for. One clip if `decode` does not refuse.

        A clip may be empty. Raises as `decode` does, also in the middle.
        """
        deadline = Deadline(self._settings.decode_timeout_s)
        started = time.perf_counter()
        try:
            for clip in self._parts(source.path, sampling, deadline):
                paused = time.perf_counter()
                yield replace(clip, timings_ms={"decode": (paused - started) * 1e3})
                started = time.perf_counter()
                deadline.extend(started - paused)
        except DublError as exc:
            raise exc.with_context({"name": source.name}) from exc

    def _parts(self, path: str, sampling: Sampling, deadline: Deadline) -> Iterator[FrameClip]:
        try:
            probe = self._probe(path, sampling, deadline)
        except NoVideoStream:
            yield self._sound_alone(path, sampling, deadline)
            return
        plan, thinned = self._plan(probe, sampling)
        if not _is_in_parts(plan, sampling):
            yield self._with_all(path, probe, sampling, deadline)
            return
        times_s, sound = [], probe.sound
        for reading in self._pyav.parts(
            path, probe=probe, plan=plan, sampling=thinned, deadline=deadline
        ):
            times_s.append(reading.timestamps_s)
            shown = _shown(reading, sampling)
            views = whole_frames(shown.frames, shown.timestamps_s)
            clip = replace(_clip(probe, shown, views, self._pyav), sound=sound)
            sound = None if len(clip.frames) else sound
            yield clip
            del reading, shown, views, clip  # before there is memory for the next ones
        known_s = np.concatenate(times_s)
        _check_enough(len(known_s), plan, sampling)
        if sampling.every_stream and probe.further_places:
            yield from self._further_parts(path, probe, known_s, sampling, deadline)

    def _further_parts(
        self,
        path: str,
        probe: Probe,
        known_s: Float64Array,
        sampling: Sampling,
        deadline: Deadline,
    ) -> Iterator[FrameClip]:
        """Further streams, as far as there is room; the last clip is empty and has the notes."""
        places = probe.further_places
        whole = replace(sampling, part_rows=0)
        clips = self._further_clips(path, places, known_s, whole, deadline)
        for clip in clips:
            for first in range(0, len(clip.frames), sampling.part_rows):
                yield _rows(clip, slice(first, first + sampling.part_rows))
        found = {Note.FURTHER_STREAMS: clips, Note.UNREAD_STREAMS: len(clips) < len(places)}
        notes = tuple(note for note, holds in found.items() if holds)
        nothing = Reading.nothing(sampling.frame_size)
        last = _clip(probe, nothing, whole_frames(nothing.frames, nothing.timestamps_s), self._pyav)
        yield replace(last, facts=replace(last.facts, notes=notes))

    def _clip_of(self, path: str, sampling: Sampling) -> FrameClip:
        if sampling.still_at_s is None:
            return self._decode(path, sampling)
        return read_still(path, sampling.still_at_s, sampling=sampling, settings=self._settings)

    def _decode(self, path: str, sampling: Sampling) -> FrameClip:
        deadline = Deadline(self._settings.decode_timeout_s)
        try:
            probe = self._probe(path, sampling, deadline)
        except NoVideoStream:
            return self._sound_alone(path, sampling, deadline)
        plan, _ = self._plan(probe, sampling)
        if _is_in_parts(plan, sampling):
            raise VideoInParts(f"the video has {len(plan)} rows; one clip, {sampling.part_rows}")
        return self._with_all(path, probe, replace(sampling, part_rows=0), deadline)

    def _probe(self, path: str, sampling: Sampling, deadline: Deadline) -> Probe:
        probe = probe_file(path, settings=self._settings, deadline=deadline, sound=sampling.sound)
        self._check_readable(probe, sampling)
        return probe

    def _sound_alone(self, path: str, sampling: Sampling, deadline: Deadline) -> FrameClip:
        """A file without a video stream. Raises NoVideoStream if its sound is not wanted."""
        if not sampling.sound_alone:
            raise NoVideoStream("the file has no video stream")
        return read_sound(
            path, frame_size=sampling.frame_size, settings=self._settings, deadline=deadline
        )

    def _with_all(
        self, path: str, probe: Probe, sampling: Sampling, deadline: Deadline
    ) -> FrameClip:
        """The stream that players show, in all views, with the further ones if they are wanted."""
        clip = replace(self._shown(path, probe, sampling, deadline), sound=probe.sound)
        places = probe.further_places if sampling.every_stream else ()
        if not places:
            return clip
        clips = self._further_clips(path, places, clip.timestamps_s, sampling, deadline)
        return _together([clip, *clips], unread=len(clips) < len(places))

    def _plan(self, probe: Probe, sampling: Sampling) -> tuple[SamplingPlan, Sampling]:
        """The rows to read, and the sampling, which is thinner for a long video."""
        sampling = self._bounded(sampling, probe.duration_s)
        return plan_rows(probe.times_s, probe.duration_s, sampling=sampling), sampling

    def _shown(self, path: str, probe: Probe, sampling: Sampling, deadline: Deadline) -> FrameClip:
        """The stream that players show, in all views."""
        plan, sampling = self._plan(probe, sampling)
        if not has_views(sampling, rows=len(plan)):
            reader, reading = self._read(path, probe, plan, sampling, deadline)
            return _clip(probe, reading, whole_frames(reading.frames, reading.timestamps_s), reader)
        larger = replace(sampling, frame_size=max(WORKING_SIDE, sampling.frame_size))
        reader, reading = self._read(path, probe, plan, larger, deadline)
        deadline.check()
        views = views_of(reading.frames, reading.timestamps_s, sampling=sampling, shape=probe.shape)
        return _clip(probe, reading, views, reader)

    def _bounded(self, sampling: Sampling, duration_s: float) -> Sampling:
        """The sampling, at a lower rate if its frames would take too much memory."""
        rows = max_rows(self._settings, sampling)
        if sampling.times_s or duration_s * sampling.rate_hz <= rows:
            return sampling
        return replace(sampling, rate_hz=rows / duration_s)

    def _further_clips(
        self,
        path: str,
        places: Sequence[int],
        known_s: Float64Array,
        sampling: Sampling,
        deadline: Deadline,
    ) -> list[FrameClip]:
        """Whole frames of the streams at `places`, as far as there is room beside those at
        `known_s`. A stream that cannot be decoded is left out."""
        clips = []
        room = min(MAX_ROWS, max_rows(self._settings, sampling)) - len(known_s)
        for place in places[:MAX_FURTHER_STREAMS]:
            try:
                found = self._further(path, place, sampling, deadline)
            except (MediaError, DecodeTimeout) as exc:
                logger.info("video stream %d was not read: %s", place, exc.detail)
                continue
            if len(found.frames) <= room:
                room -= len(found.frames)
                clips.append(
                    found if sampling.times_s else _at_instants_of(known_s, found, sampling)
                )
        return clips

    def _further(self, path: str, place: int, sampling: Sampling, deadline: Deadline) -> FrameClip:
        probe = probe_file(path, settings=self._settings, deadline=deadline, place=place)
        self._check_readable(probe, sampling)
        plan, sampling = self._plan(probe, sampling)
        reader, reading = self._read(path, probe, plan, sampling, deadline)
        clip = _clip(probe, reading, whole_frames(reading.frames, reading.timestamps_s), reader)
        return replace(clip, views=np.full(len(clip.views), FIRST_STREAM + place, np.uint8))

    def _read(
        self,
        path: str,
        probe: Probe,
        plan: SamplingPlan,
        sampling: Sampling,
        deadline: Deadline,
    ) -> tuple[FrameReader, Reading]:
        if self._decord is not None and decord_serves(probe, sampling):
            try:
                reading = self._decord.read(
                    path, probe=probe, plan=plan, sampling=sampling, deadline=deadline
                )
            except MediaError as exc:
                logger.info("decord failed, PyAV is used instead: %s", exc.detail)
            else:
                return self._decord, _shown(reading, sampling)
        reading = self._pyav.read(
            path, probe=probe, plan=plan, sampling=sampling, deadline=deadline
        )
        _check_enough(len(reading.frames), plan, sampling)
        return self._pyav, _shown(reading, sampling)

    def _check_readable(self, probe: Probe, sampling: Sampling) -> None:
        """Refuses a video that is too short, or that was cut off too early.

        A cut file is used if the rest has `min_frames` rows at the sampling rate, or is at least
        half of the duration in its header.
        """
        few = probe.duration_s * sampling.rate_hz < sampling.min_frames
        if probe.is_cut and few and probe.duration_s < probe.claimed_duration_s / 2:
            raise TruncatedVideo(
                f"the file holds only the first {probe.duration_s:.1f} s of "
                f"{probe.claimed_duration_s:.1f} s",
                context={
                    "duration_s": round(probe.duration_s, 3),
                    "claimed_duration_s": round(probe.claimed_duration_s, 3),
                },
            )
        check_not_short(probe.duration_s, self._settings)


def decord_serves(probe: Probe, sampling: Sampling) -> bool:
    """Whether decord reads such a file correctly (docs/understand/decoding.md)."""
    return (
        probe.codec in ("h264", "hevc", "vp9")
        and probe.container.startswith(("mov,", "matroska,"))
        and probe.orientation.is_upright
        and probe.video_streams == 1
        and sampling.resize == "squash"
        and not probe.is_cut
        and not probe.clock.is_joined
    )


def _is_in_parts(plan: SamplingPlan, sampling: Sampling) -> bool:
    """Whether the rows are too many for one clip. Views are made of the whole clip only."""
    return 0 < sampling.part_rows < len(plan) and not has_views(sampling, rows=len(plan))


def _check_enough(count: int, plan: SamplingPlan, sampling: Sampling) -> None:
    """Refuses a damaged file with less than `min_frames` rows and less than half of the plan."""
    if count < min(sampling.min_frames, len(plan)) and count < len(plan) / 2:
        raise TruncatedVideo(
            f"only {count} of {len(plan)} sampled pictures could be decoded",
            context={"decoded_frames": count, "planned_frames": len(plan)},
        )


def _shown(reading: Reading, sampling: Sampling) -> Reading:
    return reading if sampling.times_s else without_short_blanks(reading)


def _clip(probe: Probe, reading: Reading, views: Views, reader: FrameReader) -> FrameClip:
    return FrameClip(
        frames=views.frames,
        timestamps_s=views.timestamps_s,
        views=views.views,
        facts=_facts(probe, reading, backend=reader.name),
    )


def _rows(clip: FrameClip, rows: slice) -> FrameClip:
    return replace(
        clip,
        frames=clip.frames[rows],
        timestamps_s=clip.timestamps_s[rows],
        views=clip.views[rows],
    )


def _at_instants_of(shown_s: Float64Array, clip: FrameClip, sampling: Sampling) -> FrameClip:
    """The clip of a further stream, with times of the shown one up to half a sampling step away.

    So both have pictures of one instant, as the parts of a picture do.
    """
    known = np.unique(shown_s)
    nearest = known[np.abs(clip.timestamps_s[:, None] - known).argmin(axis=1)]
    near = np.abs(nearest - clip.timestamps_s) <= 0.5 / sampling.rate_hz
    times, rows = np.unique(np.where(near, nearest, clip.timestamps_s), return_index=True)
    return replace(clip, frames=clip.frames[rows], timestamps_s=times, views=clip.views[rows])


def _together(clips: Sequence[FrameClip], *, unread: bool) -> FrameClip:
    """Clips of several streams as one, with the facts of the first."""
    facts = clips[0].facts
    blank = all(Note.NOTHING_TO_SEE in one.facts.notes for one in clips)
    found = {
        **dict.fromkeys(facts.notes, True),
        Note.NOTHING_TO_SEE: blank,
        Note.FURTHER_STREAMS: len(clips) > 1,
        Note.UNREAD_STREAMS: unread,
    }
    return replace(
        clips[0],
        frames=np.concatenate([one.frames for one in clips]),
        timestamps_s=np.concatenate([one.timestamps_s for one in clips]),
        views=np.concatenate([one.views for one in clips]),
        facts=replace(
            facts,
            damaged=any(one.facts.damaged for one in clips),
            notes=tuple(note for note, holds in found.items() if holds),
        ),
    )


def _facts(probe: Probe, reading: Reading, *, backend: str) -> VideoFacts:
    width, height = probe.width, probe.height
    if probe.orientation.transposed:
        width, height = height, width
    return VideoFacts(
        duration_s=probe.duration_s,
        width=width,
        height=height,
        rotation_deg=probe.orientation.clockwise_deg,
        codec=probe.codec,
        container=probe.container,
        frame_rate_hz=probe.frame_rate_hz,
        backend=backend,
        damaged=probe.is_cut or reading.missing > 0 or reading.errors > 0,
        notes=_notes(probe, reading),
    )


def _notes(probe: Probe, reading: Reading) -> tuple[Note, ...]:
    found = {
        Note.JOINED: probe.clock.is_joined,
        Note.NOTHING_TO_SEE: all(map(is_blank, reading.frames)),
    }
    return tuple(note for note, holds in found.items() if holds)
