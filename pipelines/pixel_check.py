"""Pixels of two references, where their files can still be read.

Features cannot tell a copy from another take with the same camera, the same way of the camera or
the same program on a screen. Pixels can, place by place.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property

from dubl.assembly import calibration_of, make_decoder, make_evidence_store, weights_folder
from dubl.errors import DublError, EvidenceNotKept
from dubl.matching.verification import local_correlation_of, shown_in_file
from dubl.ports import Decoder
from dubl.settings import Settings
from dubl.types import Limit, Match, Reference, VideoSource
from pipelines.archive_stages import opened

logger = logging.getLogger(__name__)


class PixelCheck:
    """Lowers the probability of matches whose pixels differ."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._least = settings.policy.duplicate_probability
        self._ceiling = calibration_of(weights_folder(settings)).edge_ceiling
        self._kept = make_evidence_store(settings)

    @cached_property
    def _decoder(self) -> Decoder:
        return make_decoder(self._settings)  # starts processes, which most stages never need

    def checked(self, query: Reference, match: Match, references: Mapping[str, Reference]) -> Match:
        """The match; no duplicate if the pixels of both files differ.

        It stays as it is if a file cannot be read, or nothing changes in its pictures.
        """
        other = references.get(match.reference_id)
        if match.probability < self._least or other is None:
            return match
        try:
            with self._file(query) as ours, self._file(other) as theirs:
                shown = shown_in_file(match.segments[0], theirs, self._decoder)
                local = local_correlation_of(ours, shown, self._decoder)
        except DublError as exc:
            logger.info("pixels of %s and %s: %s", query.id, other.id, exc.detail)
            return match
        if local is None or local.equal:
            return match
        return match.below(self._ceiling, Limit.UNPROVEN)

    def _file(self, reference: Reference) -> AbstractContextManager[VideoSource]:
        """The stored copy of an upload, else the file it was registered from. Raises DublError."""
        try:
            return nullcontext(self._kept.reference_file(reference.id))
        except EvidenceNotKept:
            return _unchanged(reference, self._settings)


@contextmanager
def _unchanged(reference: Reference, settings: Settings) -> Iterator[VideoSource]:
    with opened(reference.source, settings) as file:
        if file.sha256 != reference.sha256:
            raise EvidenceNotKept("the file has changed since it was registered")
        yield file
