"""An attack suite: the roles of videos in it, and its truth, in truth.json.

{"references": [name, …],
 "queries": {name: {"attack", "matches": [{"reference", "q": [s, e], "r": [s, e], "reversed"}],
                    "strength", "steps", "duration_s"}},
 "failures": [{"video", "code", "detail"}]}

Names are file names in references/ and queries/; times are seconds. A query without matches is a
stranger, or a hard negative by its attack. A query of several pieces has one match for each piece;
"reversed" pieces run backwards.

Other data sets need only {"references", "queries": {name: {"attack", "matches":
[{"reference", "q", "r"}]}}}; further fields are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from dubl.errors import InvalidRequest, NotFound, SourceNotFound
from dubl.media.kinds import videos_in


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRoles:
    """The role of each video; each has exactly one.

    references: the library, from which copies are made. strangers: queries that match nothing,
    which also provide foreign footage for splices and insets. negatives: sources of hard negatives.
    """

    references: tuple[Path, ...]
    strangers: tuple[Path, ...] = ()
    negatives: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        everyone = [*self.references, *self.strangers, *self.negatives]
        if len(set(everyone)) != len(everyone):
            raise InvalidRequest("a video must be only one of reference, stranger and negative")
        if not self.references:
            raise InvalidRequest("an attack suite needs at least one reference")


def find_videos(folder: Path) -> list[Path]:
    """All video files below `folder`, in order of path."""
    if not folder.is_dir():
        raise NotFound(f"{folder} is not a folder")
    return videos_in(folder)


def draw_roles(
    videos: Sequence[Path], *, stranger_share: float, negative_share: float, seed: int
) -> SuiteRoles:
    """Assigns roles at random: shares for strangers and negatives, the rest are references."""
    if stranger_share < 0 or negative_share < 0 or stranger_share + negative_share >= 1:
        raise InvalidRequest("the shares of strangers and negatives must leave room for references")
    rng = np.random.default_rng([seed, 0xCA57])
    shuffled = [videos[place] for place in rng.permutation(len(videos))]
    strangers = round(len(videos) * stranger_share)
    negatives = round(len(videos) * negative_share)
    return SuiteRoles(
        strangers=tuple(shuffled[:strangers]),
        negatives=tuple(shuffled[strangers : strangers + negatives]),
        references=tuple(shuffled[strangers + negatives :]),
    )


TRUTH_FILE = "truth.json"
REFERENCES = "references"
QUERIES = "queries"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


UNTIMED = (0.0, 0.0)


class TrueMatch(_Record):
    """Seconds `q` of the query copy seconds `r` of the reference; both UNTIMED if not known."""

    reference: str
    q: tuple[float, float]
    r: tuple[float, float]
    reversed: bool = False

    @property
    def timed(self) -> bool:
        return self.q != UNTIMED


class TrueQuery(_Record):
    """The edits of a query, and its true matches. `steps`: edits of a chain. `duration_s`: 0 if
    unknown. `left_out`: references that it is not compared with."""

    attack: str
    matches: tuple[TrueMatch, ...] = ()
    strength: float | None = None
    steps: tuple[str, ...] = ()
    duration_s: float = 0.0
    left_out: tuple[str, ...] = ()


class Failure(_Record):
    """A video that could not be used, with the code of its error."""

    video: str
    code: str
    detail: str


class SuiteTruth(_Record):
    references: tuple[str, ...]
    queries: Mapping[str, TrueQuery]
    failures: tuple[Failure, ...] = ()

    def write(self, folder: Path) -> None:
        """Writes truth.json to the suite's folder."""
        text = self.model_dump_json(indent=1)
        (folder / TRUTH_FILE).write_text(text + "\n", encoding="utf-8")


def load_truth(folder: Path) -> SuiteTruth:
    """Reads truth.json of a suite's folder."""
    path = folder / TRUTH_FILE
    try:
        return SuiteTruth.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise NotFound(f"{path} does not exist; {folder} is not an attack suite") from exc
    except ValidationError as exc:
        raise InvalidRequest(f"{path} is not the truth of an attack suite: {exc}") from exc


def find_video(folder: Path, name: str) -> Path:
    """The file with that name in a suite's folder; the suffix may be missing. Raises
    SourceNotFound."""
    path = folder / name
    if path.is_file():
        return path
    found = [other for other in sorted(path.parent.glob("*")) if other.stem == path.name]
    if len(found) != 1:
        raise SourceNotFound(f"{name} is not in {folder.name}/")
    return found[0]
