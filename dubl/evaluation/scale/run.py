"""The whole measurement: clips with their manifests, planted copies, a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dubl.assembly import model_id
from dubl.evaluation.scale.asking import Growth, Scale, ScaleQuery
from dubl.evaluation.scale.clips import LibraryClip, left_out, read_clips
from dubl.evaluation.scale.figures import ScaleFindings, scale_findings
from dubl.evaluation.suite import QUERIES, load_truth
from dubl.settings import Settings


def measure_scale(
    folders: Sequence[Path],
    suites: Sequence[Path],
    settings: Settings,
    *,
    home: Path,
    growth: Growth,
    minutes: float,
) -> ScaleFindings | None:
    """Asks about all strangers among the clips, and about the copies in `suites`.

    `home` keeps library and answers; None if `minutes` ran out: the next call continues.
    """
    clips = read_clips(folders)
    planted = [query for suite in suites for query in planted_copies(suite, clips)]
    queries = [*planted, *strangers(clips)]
    first = [match.reference for query in planted for match in query.truth]
    answers = Scale(clips, growth, settings, home=home, first=first).ask(queries, minutes=minutes)
    if answers is None:
        return None
    return scale_findings(clips, queries, answers, settings.policy, model_id=model_id(settings))


def strangers(clips: Sequence[LibraryClip]) -> list[ScaleQuery]:
    """The clips that nothing was fitted to, each without itself and its scene group."""
    omitted = left_out(clips)
    return [
        ScaleQuery(name=clip.id, path=clip.path, kind=clip.kind, left_out=omitted[clip.id])
        for clip in clips
        if clip.is_asked
    ]


def planted_copies(suite: Path, clips: Sequence[LibraryClip]) -> list[ScaleQuery]:
    """The copies in a suite that was made of clips of the library, which its references name.

    Queries that copy nothing, or another video, are left out. So are, for each query, the clips of
    the suite's strangers: splices and split screens show them, too.
    """
    ids = {clip.path.stem: clip.id for clip in clips}
    asked = load_truth(suite).queries
    # The suite names them stranger_NUMBER_STEM.
    shown = {Path(name).stem.split("_", 2)[-1] for name in asked if not asked[name].matches}
    shown_too = tuple(clip for stem, clip in ids.items() if stem in shown)
    queries = []
    for name, facts in asked.items():
        known = [ids.get(Path(match.reference).stem) for match in facts.matches]
        truth = tuple(
            match.model_copy(update={"reference": clip})
            for match, clip in zip(facts.matches, known, strict=True)
            if clip is not None
        )
        if truth and None not in known:
            queries.append(
                ScaleQuery(
                    name=f"{suite.resolve()}/{name}",
                    path=suite / QUERIES / name,
                    kind=facts.attack,
                    truth=truth,
                    left_out=shown_too,
                )
            )
    return queries
