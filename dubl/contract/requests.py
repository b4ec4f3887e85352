"""The bodies of requests, which validate and document themselves."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
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
    Composed,
    Form,
    Identifier,
    LibraryField,
    Listed,
    Object,
    Seconds,
    Text,
    read_form,
    wrong,
)
from dubl.contract.links import id_in_link
from dubl.contract.orders import (
    BatchOrder,
    CheckOrder,
    ReferenceChange,
    ReferenceOrder,
    Terms,
    VideoInput,
)
from dubl.contract.rights import ContextForm, Instant, RightsForm
from dubl.errors import InvalidRequest
from dubl.types import (
    MAIN_LIBRARY,
    MIN_DECISIONS,
    Decision,
    JobKind,
    Judgement,
    QuarantineState,
    ReferenceDraft,
    ReviewState,
    Scope,
    VideoSource,
)

MAX_REVIEWS = 500  # decisions in one request; chosen
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
    id: Identifier = Field(
        default="", description="else a uuid; from a link named by a uuid, that uuid"
    )
    library: LibraryField = ""
    title: Text = ""
    owner: Text = ""
    metadata: Object = Field(default_factory=dict)

    def terms(self, *, waits: bool) -> Terms:
        known = bool(self.id or self.callback_url)
        return Terms(callback_url=self.callback_url, waits=waits, known=known)

    def video(self, upload: VideoSource | None) -> VideoInput:
        """Raises InvalidRequest unless there is one source."""
        if sum(map(bool, (upload, self.link, self.path))) != 1:
            raise InvalidRequest("send exactly one of `file`, `link` and `path`")
        return VideoInput(upload=upload, link=self.link, path=self.path)


class LibrariesForm(Form):
    library: tuple[LibraryField, ...] = ()


class CheckForm(VideoForm, ContextForm):
    """A video to be checked."""

    reference_id: Identifier = Field(
        default="",
        description="a reference that is compared whatever the search finds; evidence is kept",
    )

    def order(self, upload: VideoSource | None, libraries: Iterable[str] = ()) -> CheckOrder:
        """`libraries`: besides that of the form. Raises InvalidRequest."""
        named = [*libraries, *([self.library] if self.library else [])]
        return CheckOrder(
            id=self.id or str(uuid.uuid4()),
            video=self.video(upload),
            libraries=tuple(dict.fromkeys(read_form(LibrariesForm, {"library": named}).library)),
            reference_id=self.reference_id,
            context=self.context(),
        )


class ReferenceForm(VideoForm):
    """A video to be registered."""

    library: LibraryField = MAIN_LIBRARY
    rights: RightsForm = RightsForm()

    def order(self, upload: VideoSource | None) -> ReferenceOrder:
        """Raises InvalidRequest."""
        draft = ReferenceDraft(
            id=self.id or id_in_link(self.link) or str(uuid.uuid4()),
            library=self.library,
            title=self.title,
            owner=self.owner,
            metadata=self.metadata,
            rights=self.rights.terms(),
        )
        return ReferenceOrder(video=self.video(upload), draft=draft, own_id=bool(self.id))


class ChangeForm(Form):
    """Fields of a reference that are to be replaced."""

    title: Text = ""
    owner: Text = ""
    metadata: Object = Field(default_factory=dict)
    rights: RightsForm = RightsForm()

    @classmethod
    def change(cls, fields: Mapping[str, object]) -> ReferenceChange:
        """Of the fields that are there, null among them. Raises InvalidRequest."""
        form = read_form(cls, fields)
        if not fields:
            raise InvalidRequest(
                "the request changes nothing. Send title, owner, metadata or rights."
            )
        return ReferenceChange(
            title=form.title if "title" in fields else None,
            owner=form.owner if "owner" in fields else None,
            metadata=form.metadata if "metadata" in fields else None,
            rights=form.rights.terms() if "rights" in fields else None,
        )


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

    def order(self, upload: VideoSource | None, *, max_items: int) -> BatchOrder:
        """Raises InvalidRequest."""
        if len(self.links) > max_items:
            raise InvalidRequest(f"`links` must be a list of 1 to {max_items} addresses")
        if bool(self.links) == (upload is not None):
            raise InvalidRequest("send either a zip as `file` or a list of `links`")
        named = self.library or (MAIN_LIBRARY if self.kind is JobKind.REFERENCE else "")
        return BatchOrder(
            id=str(uuid.uuid4()),
            kind=self.kind,
            archive=upload,
            links=self.links,
            libraries=(named,) if named else (),
            owner=self.owner,
            rights=self.rights.terms(),
            context=self.context(),
        )


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReviewRequest(Request):
    """A reviewer's decision on a match."""

    check_id: Composed
    reference_id: Composed
    decision: Decision
    reviewer: LongText = Field(default="", description="default: the name of the key")
    note: LongText = ""
    if_state: ReviewState | None = Field(
        default=None, description="409 if the match is in another state by now"
    )
    until: Instant | None = Field(
        default=None, description="of a dispute: unanswered by then, it releases the match"
    )
    exclude: bool = Field(
        default=False,
        description="with released: the copied seconds of the reference become excluded segments",
    )

    @model_validator(mode="after")
    def _said(self) -> Self:
        if self.decision in (Decision.COMMENT, Decision.DISPUTED) and not self.note.strip():
            raise wrong(f"{self.decision} needs a `note`")
        if self.until and self.decision is not Decision.DISPUTED:
            raise wrong("`until` is of a dispute")
        if self.exclude and self.decision is not Decision.RELEASED:
            raise wrong("`exclude` goes with released")
        return self


class ReviewsItem(Request):
    """A decision on one of many matches."""

    check_id: Composed
    reference_id: Composed
    decision: Decision
    if_state: ReviewState | None = Field(
        default=None, description="left as it is if it is in another state by now"
    )


class ReviewsRequest(Request):
    """Decisions on many matches at once."""

    items: tuple[ReviewsItem, ...] = Field(min_length=1, max_length=MAX_REVIEWS)
    reviewer: LongText = Field(default="", description="default: the name of the key")
    note: LongText = ""
    dry_run: bool = Field(default=False, description="only tells what would be decided")

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len({(one.check_id, one.reference_id) for one in self.items}) < len(self.items):
            raise wrong("`items` name a match twice")
        return self

    @property
    def judgements(self) -> list[Judgement]:
        return [Judgement(**one.model_dump()) for one in self.items]


class QuarantineRequest(Request):
    """A reviewer's decision on a quarantined reference."""

    reference_id: Composed
    decision: Literal["release", "keep"]
    reviewer: LongText = ""
    note: LongText = ""

    @property
    def state(self) -> QuarantineState:
        released = self.decision == "release"
        return QuarantineState.RELEASED if released else QuarantineState.KEPT


class HoldRequest(Request):
    """A legal hold, with its reason, for example the number of a case."""

    reason: LongText = ""


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
