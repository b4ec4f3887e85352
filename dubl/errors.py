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
│   │   ├── VideoTooComplex        more streams or pictures than allowed
│   │   ├── InvalidFingerprint     damaged, or not of a video
│   │   ├── FingerprintMismatch    of another model, sampling or format
│   │   └── VideoInParts           more rows than one clip may have; never leaves the service
│   ├── Unauthorized           no key, or an unknown key
│   ├── Forbidden              the key does not allow this
│   ├── InvalidRequest         a field is missing, unknown or out of range
│   │   └── InvalidRights          invalid license window, excluded segment or action
│   ├── StateConflict          not possible in the current state
│   │   └── AlreadyRegistered      the same bytes are registered, under another id or otherwise
│   └── NotFound               no such reference, check, job, key or library
│       ├── JobNotFound
│       ├── LibraryNotFound        no reference is in a library of this name
│       ├── ReferenceNotFound
│       ├── CheckNotFound
│       ├── KeyNotFound
│       └── EvidenceNotKept        pictures and features are not stored, or no longer
├── ResourceError              the service's limits
│   ├── DecodeTimeout              the file took longer than its deadline
│   ├── DecoderCrashed             the decoding process crashed on this file
│   ├── DeadlineExceeded           the request's time limit is over
│   ├── RateLimited                the key has reached its limit of requests or jobs
│   ├── Overloaded                 queues are full; try again later
│   ├── ServiceInterrupted         the working process was lost repeatedly
│   └── LeaseLost                  the job was cancelled, or another process runs it
└── OperatorError              the installation's fault
    ├── ConfigurationError         a setting is wrong; names the key
    │   └── ExtraMissing               a package of an extra is not installed
    ├── FeatureSpaceMismatch       stored features come from another model
    ├── WeightsUnavailable         a checkpoint is absent or does not match its card
    └── StoreUnavailable           the library or the ledger cannot be read or written
        ├── StoreHeld                  another process holds the ledger
        ├── StoreReadOnly              the database is a standby, which takes no changes
        └── StoreTooNew                written by a newer version of Dubl
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import ClassVar, Self

MAX_COMPARED_NAMES = 1000  # libraries that a wrong name is compared with; chosen, bounds the time

ContextValue = str | int | float | bool | None


class DublError(Exception):
    """Base of all domain errors.

    `detail`: what happened, in one sentence. `hint`: what to do about it. `context`: plain values
    for logs and answers.
    """

    code: ClassVar[str] = "internal_error"
    hint: ClassVar[str] = ""

    def __init__(self, detail: str, *, context: dict[str, ContextValue] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.context: dict[str, ContextValue] = dict(context or {})

    def __reduce__(self) -> tuple[object, ...]:
        # By default, exceptions with keyword-only arguments cannot be unpickled.
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
    hint = "Upload the file again."


class NotAVideo(MediaError):
    code = "not_a_video"
    hint = "Send a video file such as MP4, WebM or Matroska."


class NoVideoStream(MediaError):
    code = "no_video_stream"
    hint = (
        "Send a file with a video stream. One of sound alone needs sound.enabled and, as a "
        "reference, modalities that claim the sound: docs/use/sound.md."
    )


class TruncatedVideo(MediaError):
    code = "truncated_video"
    hint = "The file is incomplete. Upload it again."


class UnsupportedCodec(MediaError):
    code = "unsupported_codec"
    hint = "Re-encode the video, for example as H.264."


class VideoTooShort(MediaError):
    code = "video_too_short"
    hint = "Send a longer video, or lower media.min_duration_s."


class VideoTooLong(MediaError):
    code = "video_too_long"
    hint = "Split the video, or raise media.max_duration_s."


class FrameTooLarge(MediaError):
    code = "frame_too_large"
    hint = "Scale the video down, or raise media.max_pixels."


class VideoInParts(MediaError):
    """Of a decoder that was asked for a clip of at most so many rows; the flow reads parts then."""

    code = "video_in_parts"
    hint = "Read the video in parts."


class VideoTooComplex(MediaError):
    code = "video_too_complex"
    hint = "Re-encode the video with a usual frame rate and one video stream."


class InvalidFingerprint(MediaError):
    code = "invalid_fingerprint"
    hint = "Make the fingerprint again with `dubl fingerprint`, or send the video."


class FingerprintMismatch(MediaError):
    code = "fingerprint_mismatch"
    hint = "Make it with the service's version, weights and settings, or send the video."


class Unauthorized(InputError):
    code = "unauthorized"
    hint = "Send `Authorization: Bearer KEY`. Administrators create keys with `dubl keys create`."


class Forbidden(InputError):
    code = "forbidden"
    hint = "Use a key with the required scope and library."


class InvalidRequest(InputError):
    code = "invalid_request"


class InvalidRights(InvalidRequest):
    code = "invalid_rights"
    hint = "See docs/use/rights.md for valid rights."


class StateConflict(InputError):
    code = "state_conflict"


class AlreadyRegistered(StateConflict):
    code = "already_registered"
    hint = "Change or delete that reference, or send the video without id, owner, metadata, rights."


class NotFound(InputError):
    code = "not_found"


class JobNotFound(NotFound):
    code = "job_not_found"


class LibraryNotFound(NotFound):
    code = "library_not_found"


class ReferenceNotFound(NotFound):
    code = "reference_not_found"


class CheckNotFound(NotFound):
    code = "check_not_found"


class KeyNotFound(NotFound):
    code = "key_not_found"


class EvidenceNotKept(NotFound):
    code = "evidence_not_kept"
    hint = "Check the video again. evidence.keep and retention.evidence_s limit what is stored."


class ResourceError(DublError):
    code = "resource_error"


class DecodeTimeout(ResourceError):
    code = "decode_timeout"
    hint = "Re-encode the file, or raise media.decode_timeout_s."


class DecoderCrashed(ResourceError):
    code = "decoder_crashed"
    hint = "Re-encode the file."


class DeadlineExceeded(ResourceError):
    code = "deadline_exceeded"
    hint = "Send the request again, or send it without Prefer: wait and fetch the result later."


class RateLimited(ResourceError):
    """`retry_after_s` in the context: seconds until the next request is accepted."""

    code = "rate_limited"
    hint = "Wait for the time in Retry-After, or ask for a higher limit for the key."


class Overloaded(ResourceError):
    code = "overloaded"
    hint = "Wait for the time in Retry-After and send the request again."


class ServiceInterrupted(ResourceError):
    code = "service_interrupted"
    hint = "Check the service's log, then queue the job again."


class LeaseLost(ResourceError):
    code = "lease_lost"


class OperatorError(DublError):
    code = "operator_error"


class ConfigurationError(OperatorError):
    code = "configuration_error"


class ExtraMissing(ConfigurationError):
    code = "extra_missing"
    hint = "`pip install dubl` brings the client alone; all else is in extras."


# Packages that are in another extra than `serve`.
_EXTRAS = {
    "celery": "rabbitmq",
    "decord": "decord",
    "kombu": "rabbitmq",
    "matplotlib": "plots",
    "opentelemetry": "tracing",
    "pdqhash": "peers",
    "psycopg": "postgres",
    "psycopg_pool": "postgres",
    "rich": "cli",
    "torch": "gpu",
    "torchvision": "gpu",
    "typer": "cli",
}


@contextmanager
def needs_extra() -> Iterator[None]:
    """Around imports of packages that an extra brings. Raises ExtraMissing."""
    try:
        yield
    except ModuleNotFoundError as exc:
        package = (exc.name or "").partition(".")[0]
        if package in ("", "dubl", "pipelines", "serve_app"):
            raise
        extra = _EXTRAS.get(package, "serve")
        raise ExtraMissing(f"{package} is not installed: pip install 'dubl[{extra}]'.") from exc


class FeatureSpaceMismatch(OperatorError):
    code = "feature_space_mismatch"
    hint = (
        "Start with the weights that filled this store. docs/operate/new-weights.md describes "
        "how to change them."
    )


class WeightsUnavailable(OperatorError):
    code = "weights_unavailable"


class StoreUnavailable(OperatorError):
    code = "store_unavailable"


class StoreHeld(StoreUnavailable):
    code = "store_held"
    hint = "If a service is running, name it with --url. Some commands need DUBL_API_KEY."


class StoreReadOnly(StoreUnavailable):
    code = "store_read_only"
    hint = "Name all hosts of the database in ledger.url: the primary is found among them."


class StoreTooNew(StoreUnavailable):
    code = "store_too_new"
    hint = "Start the version of Dubl that wrote it, or restore an older back-up."


# One text for what is not there and for what the caller may not see.


def no_job(job_id: str) -> JobNotFound:
    return JobNotFound(f"there is no job '{job_id}'", context={"job_id": job_id})


def no_check(check_id: str) -> CheckNotFound:
    return CheckNotFound(f"there is no check '{check_id}'", context={"check_id": check_id})


def no_library(name: str, known: Sequence[str]) -> LibraryNotFound:
    """Names the libraries of similar names, or some that exist."""
    named = sorted(known)[:MAX_COMPARED_NAMES]
    near = get_close_matches(name, named, n=3, cutoff=0.5) or named[:3]
    told = f"There are: {', '.join(near)}." if near else "No reference is registered yet."
    return LibraryNotFound(
        f"there is no library '{name}'. {told}",
        context={"library": name, "known": ", ".join(near)},
    )


def no_reference(reference_id: str) -> ReferenceNotFound:
    return ReferenceNotFound(
        f"there is no reference '{reference_id}'", context={"reference_id": reference_id}
    )


def _classes(kind: type[DublError]) -> dict[str, type[DublError]]:
    found = {kind.code: kind}
    for child in kind.__subclasses__():
        found |= _classes(child)
    return found


# Of this module alone: Ray derives classes of its own from those that cross a process.
_BY_CODE = _classes(DublError)


def error_class(code: str, *, otherwise: type[DublError] = DublError) -> type[DublError]:
    """The class of an error code; `otherwise` if the code is unknown."""
    return _BY_CODE.get(code, otherwise)
