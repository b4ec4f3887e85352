"""Registers the references of a suite in a new library and checks its queries: the flow of the
service, in this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubl.assembly import feature_spec, model_id
from dubl.engine.in_process import InProcess
from dubl.errors import DublError, InputError, InvalidRequest, ResourceError
from dubl.evaluation.suite import (
    QUERIES,
    REFERENCES,
    Failure,
    SuiteTruth,
    TrueQuery,
    find_video,
)
from dubl.matching.decision import summed_timings
from dubl.media.sources import local_source
from dubl.settings import Settings
from dubl.types import (
    ReferenceDraft,
    Registration,
    Timings,
    Verdict,
    VideoFeatures,
    VideoSource,
)

logger = logging.getLogger(__name__)

# References that are registered at once, in one commit.
GROUP = 16
LOGGED_EACH = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """The answers to a suite.

    verdicts: by query; failed queries are in `failures` with their code. same_as: references with
    the bytes of another one, and that one. durations_s: seconds of the decoded videos, by folder
    and name ("queries/a.mp4"). reference_timings: milliseconds by step, summed over the references.
    """

    truth: SuiteTruth
    settings: Settings
    model_id: str
    space_id: str
    verdicts: Mapping[str, Verdict]
    failures: tuple[Failure, ...]
    same_as: Mapping[str, str]
    durations_s: Mapping[str, float]
    reference_timings: Timings

    @property
    def query_timings(self) -> Timings:
        """Milliseconds by step, summed over the queries."""
        return summed_timings([verdict.timings_ms for verdict in self.verdicts.values()])


def run_suite(suite: Path, truth: SuiteTruth, settings: Settings, *, home: Path) -> SuiteRun:
    """Registers the references in a new library under `home` and checks every query.

    Videos that do not decode become failures. Raises InvalidRequest for a suite without queries
    or references, and the errors of a broken installation.
    """
    if not truth.queries or not truth.references:
        raise InvalidRequest(f"the truth of {suite} names no queries or no references")
    own = own_library(settings, home)
    asked = _Suite(suite)
    with InProcess(own) as process:
        references = process.run(asked.register(process, truth.references))
        process.call(process.steps.librarian.keep_up)
        verdicts = process.run(asked.check(process, truth.queries))
    return SuiteRun(
        truth=truth,
        settings=settings,
        model_id=model_id(own),
        space_id=feature_spec(own).space_id,
        verdicts=verdicts,
        failures=tuple(asked.failures),
        same_as={
            name: made.reference.id
            for name, made in references.items()
            if made.reference.id != name
        },
        durations_s=asked.durations_s,
        reference_timings=summed_timings([made.timings_ms for made in references.values()]),
    )


class _Suite:
    """Passes the videos of a suite to the flow; notes those that fail."""

    def __init__(self, suite: Path) -> None:
        self.failures: list[Failure] = []
        self.durations_s: dict[str, float] = {}
        self._suite = suite

    async def register(
        self, process: InProcess, names: Sequence[str]
    ) -> Mapping[str, Registration]:
        """By name, without those that fail."""
        found: dict[str, Registration] = {}
        for first in range(0, len(names), GROUP):
            group = names[first : first + GROUP]
            made = await asyncio.gather(*(self._registered(process, name) for name in group))
            found |= {name: one for name, one in zip(group, made, strict=True) if one is not None}
            logger.info("%s: %d of %d", REFERENCES, first + len(group), len(names))
        return found

    async def check(
        self, process: InProcess, queries: Mapping[str, TrueQuery]
    ) -> Mapping[str, Verdict]:
        """Verdicts by name, without those that fail."""
        verdicts = {}
        for count, (name, facts) in enumerate(queries.items(), 1):
            verdict = await self._checked(process, name, facts.left_out)
            if verdict is not None:
                verdicts[name] = verdict
            if count % LOGGED_EACH == 0 or count == len(queries):
                logger.info("%s: %d of %d", QUERIES, count, len(queries))
        return verdicts

    async def _registered(self, process: InProcess, name: str) -> Registration | None:
        try:
            source = await asyncio.to_thread(_source, self._suite / REFERENCES, name)
            made = await process.flow.register(
                source, ReferenceDraft(id=name), again=False, on_stage=lambda _: None
            )
        except (InputError, ResourceError) as exc:
            self._note(f"{REFERENCES}/{name}", exc)
            return None
        self.durations_s[f"{REFERENCES}/{name}"] = made.reference.duration_s
        return made

    async def _checked(
        self, process: InProcess, name: str, left_out: Sequence[str]
    ) -> Verdict | None:
        try:
            source = await asyncio.to_thread(_source, self._suite / QUERIES, name)
            asked = await process.ask(source, exclude_ids=left_out)
        except (InputError, ResourceError) as exc:
            self._note(f"{QUERIES}/{name}", exc)
            return None
        features: VideoFeatures = await asked.features
        self.durations_s[f"{QUERIES}/{name}"] = features.duration_s
        return asked.verdict

    def _note(self, video: str, error: DublError) -> None:
        logger.warning("%s fails: %s", video, error.detail)
        self.failures.append(Failure(video=video, code=error.code, detail=error.detail))


def own_library(settings: Settings, home: Path) -> Settings:
    """A library of its own under `home`; files of references may be read again anywhere."""
    return settings.model_copy(
        update={
            "data_dir": home,
            "index": settings.index.model_copy(update={"uri": ""}),
            "media": settings.media.model_copy(update={"allowed_roots": (Path("/"),)}),
        }
    )


def _source(folder: Path, name: str) -> VideoSource:
    path = find_video(folder, name)
    return local_source(path, name=str(path))
