"""The filters of listings: queries of the HTTP contract, and options of the client."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dubl.types import Modality, Outcome, QueueSort, ReviewState

# A day, an hour or an instant, in UTC; also only its beginning.
Moment = Annotated[
    str, Field(pattern=r"^(\d{4}(-\d{2}(-\d{2}(T\d{2}(:\d{2}(:\d{2}(\.\d{1,6})?)?)?)?)?)?)?Z?$")
]
Probability = Annotated[float, Field(ge=0, le=1)]
Limit = Annotated[int, Field(ge=1, le=500)]


class Query(BaseModel):
    model_config = ConfigDict(frozen=True)


class QueueFilters(Query):
    """Which matches of the review queue. An empty field selects all."""

    q: str = Field(
        default="", description="in the upload's name, or the reference's id or title; ignores case"
    )
    outcome: Outcome | None = None
    library: str = Field(default="", description="of the reference")
    owner: str = Field(default="", description="of the reference")
    channel: str = Field(default="", description="of the upload, as the check named it")
    modality: Modality | None = None
    reviewer: str = Field(default="", description="of the latest decision")
    check_id: str = ""
    reference_id: str = ""
    since: Moment = Field(default="", description="of the check; 2026, 2026-01-02, 2026-01-02T03")
    until: Moment = Field(default="", description="of the check, to the end of the day or hour")
    min_probability: Probability | None = Field(
        default=None, description="default: the review threshold of each library"
    )
    max_probability: Probability = 1.0


NO_FILTERS = QueueFilters()


class QueueQuery(QueueFilters):
    """A page of the review queue."""

    state: ReviewState | None = None
    sort: QueueSort = QueueSort.NEWEST
    facets: bool = Field(default=False, description="counts for each filter, too")
    limit: Limit = 50
    cursor: str = ""


class CheckFilters(Query):
    """Which finished checks. An empty field selects all."""

    q: str = Field(default="", description="in the upload's name; ignores case")
    sha256: Annotated[str, Field(pattern="^[0-9A-Fa-f]{0,64}$")] = Field(
        default="", description="of the upload, or its beginning"
    )
    outcome: Outcome | None = None
    library: str = Field(default="", description="that was searched")
    reference_id: str = Field(default="", description="of the best match")
    since: Moment = ""
    until: Moment = ""


class ChecksQuery(CheckFilters):
    """A page of the finished checks."""

    min_probability: Probability | None = None
    limit: Limit = 50
    cursor: str = ""
