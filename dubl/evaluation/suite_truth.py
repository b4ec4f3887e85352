"""The truth of an attack suite, as it stands in truth.json.

{"references": [name, …],
 "queries": {name: {"attack", "matches": [{"reference", "q": [s, e], "r": [s, e], "reversed"}],
                    "strength", "steps", "duration_s"}},
 "failures": [{"video", "code", "detail"}]}

Names are file names in references/ and queries/; times are seconds. A query without matches is
a stranger, or a hard negative when its attack says so. A query of several pieces has one match a
piece; "reversed" pieces run backwards.

Sets of other makers need only {"references", "queries": {name: {"attack", "matches":
[{"reference", "q", "r"}]}}}; what else they say is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from dubl.errors import InvalidRequest, NotFound, SourceNotFound

TRUTH_FILE = "truth.json"
REFERENCES = "references"
QUERIES = "queries"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TrueMatch(_Record):
    """Seconds `q` of the query show seconds `r` of the reference."""

    reference: str
    q: tuple[float, float]
    r: tuple[float, float]
    reversed: bool = False


class TrueQuery(_Record):
    """How a query was made and what it shows. `steps` are the edits of a chain.

    `duration_s` is 0 where the maker did not say it.
    """

    attack: str
    matches: tuple[TrueMatch, ...] = ()
    strength: float | None = None
    steps: tuple[str, ...] = ()
    duration_s: float = 0.0


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
    """The file of that name in a suite's folder; a name without its suffix will do.

    Raises SourceNotFound.
    """
    path = folder / name
    if path.is_file():
        return path
    found = [other for other in sorted(path.parent.glob("*")) if other.stem == path.name]
    if len(found) != 1:
        raise SourceNotFound(f"{name} is not in {folder.name}/")
    return found[0]
