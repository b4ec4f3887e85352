"""Domain errors. Each class has a stable `code`; HTTP statuses live in serve_app/api/problems.py.

DublError
├── InputError                 the caller's fault
│   ├── SourceError            the video could not be obtained
│   │   ├── SourceNotFound         no such file
│   │   ├── SourceForbidden        path or address outside what is allowed
│   │   ├── SourceUnreachable      the link did not answer as it should
│   │   ├── SourceTooLarge         more bytes than allowed
│   │   └── UnsafeArchive          a zip that would unpack to harm
│   ├── MediaError             the file is there but cannot serve as a video
│   │   ├── EmptyFile              zero bytes
│   │   ├── NotAVideo              not a media file that a decoder knows
│   │   ├── NoVideoStream          audio or subtitles only
│   │   ├── TruncatedVideo         cut off before enough could be read
│   │   ├── UnsupportedCodec       no decoder for its codec
│   │   ├── VideoTooShort          fewer frames than a comparison needs
│   │   ├── VideoTooLong           longer than allowed
│   │   ├── FrameTooLarge          more pixels a frame than allowed
│   │   └── VideoTooComplex        more streams or pictures than allowed
│   ├── Unauthorized           no key, or one that is not known
│   ├── Forbidden              the key does not allow this
│   ├── InvalidRequest         a field is missing, unknown or out of range
│   │   └── InvalidRights          a license window, excluded segment or action that cannot be
│   ├── StateConflict          not possible in the state that the job is in
│   └── NotFound               no such reference, check, job, key or library
│       ├── JobNotFound
│       ├── ReferenceNotFound
│       ├── CheckNotFound
│       ├── KeyNotFound
│       └── EvidenceNotKept        the check's pictures and features are gone, or never were kept
├── ResourceError              the service's limits
│   ├── DecodeTimeout              the file took longer than its deadline
│   ├── DecoderCrashed             the decoder process died on this file
│   ├── DeadlineExceeded           the request's own time is over
│   ├── RateLimited                the key's requests or jobs are used up for now
│   ├── Overloaded                 queues are full; try again later
│   ├── ServiceInterrupted         what did the work was lost again and again
│   └── LeaseLost                  the job was cancelled, or another process does it now
└── OperatorError              the installation's fault
    ├── ConfigurationError         a setting is wrong; names the key
    ├── FeatureSpaceMismatch       stored features come from another model
    ├── WeightsUnavailable         a checkpoint is absent or does not match its card
    └── StoreUnavailable           the library or the ledger cannot be read or written
        ├── StoreHeld                  another process holds the ledger
        └── StoreTooNew                a newer version of Dubl has written it
"""

from __future__ import annotations

from typing import ClassVar, Self

ContextValue = str | int | float | bool | None


class DublError(Exception):
    """Base of all domain errors.

    `detail` is one sentence for the person who must act, `hint` says what to do about it,
    `context` holds plain values for logs and answers.
    """

    code: ClassVar[str] = "internal_error"
    hint: ClassVar[str] = ""

    def __init__(self, detail: str, *, context: dict[str, ContextValue] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.context: dict[str, ContextValue] = dict(context or {})

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only arguments do not unpickle by themselves.
        return (_rebuild, (type(self), self.detail, self.context))

    def with_context(self, context: dict[str, ContextValue]) -> Self:
        """Returns the same error with `context` added."""
        return type(self)(self.detail, context={**self.context, **context})


def _rebuild(kind: type[DublError], detail: str, context: dict[str, ContextValue]) -> DublError:
    return kind(detail, context=context)


class InputError(DublError):
    code = "invalid_input"


class SourceError(InputError):
    code = "source_error"


class SourceNotFound(SourceError):
    code = "source_not_found"
    hint = "Check the path or the link."


class SourceForbidden(SourceError):
    code = "source_forbidden"
    hint = "Use a path inside media.allowed_roots, or an http(s) link to a public address."


class SourceUnreachable(SourceError):
    code = "source_unreachable"
    hint = "Check that the link answers 200 with the video's bytes."


class SourceTooLarge(SourceError):
    code = "source_too_large"
    hint = "Send a smaller file, or raise media.max_size_bytes."


class UnsafeArchive(SourceError):
    code = "unsafe_archive"
    hint = "Send a plain zip of video files, or a list of links."


class MediaError(InputError):
    code = "media_error"


class EmptyFile(MediaError):
    code = "empty_file"
    hint = "The file has no bytes; upload it again."


class NotAVideo(MediaError):
    code = "not_a_video"
    hint = "Send a video file such as MP4, WebM or Matroska."


class NoVideoStream(MediaError):
    code = "no_video_stream"
    hint = "The file holds no picture; send one with a video stream."


class TruncatedVideo(MediaError):
    code = "truncated_video"
    hint = "The file ends before its content does; upload it again."


class UnsupportedCodec(MediaError):
    code = "unsupported_codec"
    hint = "Re-encode the video, for example as H.264."


class VideoTooShort(MediaError):
    code = "video_too_short"
    hint = "The video is shorter than media.min_duration_s."


class VideoTooLong(MediaError):
    code = "video_too_long"
    hint = "Split the video, or raise media.max_duration_s."


class FrameTooLarge(MediaError):
    code = "frame_too_large"
    hint = "Scale the video down, or raise media.max_pixels."


class VideoTooComplex(MediaError):
    code = "video_too_complex"
    hint = "Re-encode the video at an ordinary frame rate, with one stream of pictures."


class Unauthorized(InputError):
    code = "unauthorized"
    hint = "Send `Authorization: Bearer KEY`; an administrator makes keys with `dubl keys create`."


class Forbidden(InputError):
    code = "forbidden"
    hint = "Use a key with the scope and the library that this needs."


class InvalidRequest(InputError):
    code = "invalid_request"


class InvalidRights(InvalidRequest):
    code = "invalid_rights"
    hint = "docs/use/rights.md shows rights with license windows and excluded segments."


class StateConflict(InputError):
    code = "state_conflict"


class NotFound(InputError):
    code = "not_found"


class JobNotFound(NotFound):
    code = "job_not_found"


class ReferenceNotFound(NotFound):
    code = "reference_not_found"


class CheckNotFound(NotFound):
    code = "check_not_found"


class KeyNotFound(NotFound):
    code = "key_not_found"


class EvidenceNotKept(NotFound):
    code = "evidence_not_kept"
    hint = (
        "Evidence is kept as `evidence.keep` and `evidence.retention_s` say; check the video again."
    )


class ResourceError(DublError):
    code = "resource_error"


class DecodeTimeout(ResourceError):
    code = "decode_timeout"
    hint = "The file decodes too slowly; re-encode it, or raise media.decode_timeout_s."


class DecoderCrashed(ResourceError):
    code = "decoder_crashed"
    hint = "The file breaks the decoder; re-encode it."


class DeadlineExceeded(ResourceError):
    code = "deadline_exceeded"
    hint = "Ask again, or without Prefer: wait and fetch the result later."


class RateLimited(ResourceError):
    """`retry_after_s` in the context says when the next request is taken."""

    code = "rate_limited"
    hint = "Wait for the time in Retry-After, or ask for a higher limit of the key."


class Overloaded(ResourceError):
    code = "overloaded"
    hint = "Wait for the time in Retry-After and send the request again."


class ServiceInterrupted(ResourceError):
    code = "service_interrupted"
    hint = "Look into the service's log, then queue the job again."


class LeaseLost(ResourceError):
    code = "lease_lost"


class OperatorError(DublError):
    code = "operator_error"


class ConfigurationError(OperatorError):
    code = "configuration_error"


class FeatureSpaceMismatch(OperatorError):
    code = "feature_space_mismatch"
    hint = (
        "Start with the weights that filled this store; docs/operate/new-weights.md says how "
        "to bring in new ones."
    )


class WeightsUnavailable(OperatorError):
    code = "weights_unavailable"


class StoreUnavailable(OperatorError):
    code = "store_unavailable"


class StoreHeld(StoreUnavailable):
    code = "store_held"
    hint = "While a service runs, name it with --url; some commands want a key in DUBL_API_KEY."


class StoreTooNew(StoreUnavailable):
    code = "store_too_new"
    hint = "Start the version of Dubl that wrote it, or restore a back-up that is older."
