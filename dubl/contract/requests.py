"""The bodies of requests, which validate and document themselves."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from dubl.contract.forms import (
    LIBRARY_PATTERN,
    TEXT_MAX_LENGTH,
    Address,
    Form,
    LibraryField,
    Listed,
    Name,
    Object,
    Seconds,
    Text,
    wrong,
)
from dubl.contract.rights import ContextForm, RightsForm
from dubl.types import MAIN_LIBRARY, MIN_DECISIONS, Decision, JobKind, Scope

LongText = Annotated[str, Field(max_length=TEXT_MAX_LENGTH)]
LibraryName = Annotated[str, StringConstraints(pattern=f"^(?:{LIBRARY_PATTERN.pattern})$")]


def _job_kind(value: object) -> JobKind:
    if value not in (JobKind.CHECK, JobKind.REFERENCE):
        raise wrong("must be check or reference")
    return JobKind(str(value))


class LinkForm(Form):
    link: Address = Field(default="", description="http(s) address of the video")


class CallbackForm(Form):
    callback_url: Address = Field(default="", description="told of the end by a signed webhook")


class VideoForm(LinkForm, CallbackForm):
    """A video: a `link`, a `path`, or a file that comes beside the form."""

    path: Text = Field(default="", description="file inside media.allowed_roots")
    id: Name = Field(default="", description="else a uuid; from a link named by a uuid, that uuid")
    library: LibraryField = ""
    title: Text = ""
    owner: Text = ""
    metadata: Object = Field(default_factory=dict)


class CheckForm(VideoForm, ContextForm):
    """A video to be checked."""


class ReferenceForm(VideoForm):
    """A video to be registered."""

    library: LibraryField = MAIN_LIBRARY
    rights: RightsForm = RightsForm()


class ChangeForm(Form):
    """Fields of a reference that are to be replaced."""

    title: Text = ""
    owner: Text = ""
    metadata: Object = Field(default_factory=dict)
    rights: RightsForm = RightsForm()


class FrameForm(Form):
    """Which picture is searched for."""

    time_s: Seconds = Field(default=0.0, description="which frame of a video is meant")
    library: LibraryField = ""


class BatchForm(CallbackForm, ContextForm):
    """Many videos: `links`, or a zip that comes beside the form."""

    links: Annotated[tuple[Address, ...], Listed] = Field(default=(), min_length=1)
    kind: Annotated[Literal[JobKind.CHECK, JobKind.REFERENCE], BeforeValidator(_job_kind)] = (
        JobKind.CHECK
    )
    library: LibraryField = ""
    owner: Text = ""
    rights: RightsForm = RightsForm()


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReviewRequest(Request):
    """A reviewer's decision on a match."""

    check_id: str
    reference_id: str
    decision: Decision
    reviewer: LongText = ""
    note: LongText = ""

    @model_validator(mode="after")
    def _said(self) -> Self:
        if self.decision is Decision.COMMENT and not self.note.strip():
            raise wrong("a comment needs a `note`")
        return self


class QuarantineRequest(Request):
    """A reviewer's decision on a quarantined reference."""

    reference_id: str
    decision: Literal["release", "keep"]
    reviewer: LongText = ""
    note: LongText = ""


class CalibrationRequest(Request):
    """`adopt`: whether the fitted thresholds take effect."""

    least_decisions: int = Field(default=MIN_DECISIONS, ge=10)
    adopt: bool = True


class KeyRequest(Request):
    """A new key; limits of 0 are those of the settings."""

    name: str = Field(min_length=1, max_length=200)
    scopes: list[Scope] = Field(min_length=1)
    libraries: list[LibraryName] = []
    requests_per_minute: int = Field(default=0, ge=0, le=1_000_000)
    jobs_per_day: int = Field(default=0, ge=0, le=1_000_000_000)


class SwitchRequest(Request):
    """`force`: switch even if the space lacks references."""

    space_id: str
    force: bool = False
    note: LongText = ""


class RollbackRequest(Request):
    note: LongText = ""
