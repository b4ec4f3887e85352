"""Domain errors as RFC 9457 problem+json; the only place that maps errors to HTTP statuses."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from dubl import errors
from dubl.contract import bodies
from dubl.types import Job, JobState
from serve_app.api.middleware import request_id_of
from serve_app.api.routes import LEGACY_PATH

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5  # seconds, for errors without their own; chosen

# The nearest class in an error's ancestry decides.
STATUSES: dict[type[errors.DublError], HTTPStatus] = {
    errors.DublError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.Unauthorized: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.SourceForbidden: HTTPStatus.FORBIDDEN,
    errors.SourceTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.VideoTooLong: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.FrameTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedCodec: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.NotAVideo: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    errors.StateConflict: HTTPStatus.CONFLICT,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.ResourceError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.DecodeTimeout: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.DecoderCrashed: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    errors.OperatorError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def status_of(kind: type[errors.DublError]) -> HTTPStatus:
    """HTTP status of a class of errors."""
    return next(STATUSES[ancestor] for ancestor in kind.__mro__ if ancestor in STATUSES)


def problem(error: errors.DublError) -> dict[str, object]:
    """The body without the request's id, as also shown for a failed job."""
    status = status_of(type(error))
    body: dict[str, object] = {
        "type": f"urn:dubl:error:{error.code}",
        "title": error.code.replace("_", " ").capitalize(),
        "status": int(status),
        "detail": error.detail,
        "code": error.code,
    }
    if error.hint:
        body["hint"] = error.hint
    if error.context:
        body["context"] = error.context
    return body


def error_of(job: Job) -> errors.DublError:
    """The error with which a job failed, as it was raised."""
    if job.state is JobState.CANCELLED:
        return errors.StateConflict("the job was cancelled")
    existing: dict[str, errors.ContextValue] = (
        {"existing_id": job.result_id} if job.result_id else {}
    )
    return errors.error_class(job.error_code)(job.error_detail, context=existing)


def failure(job: Job) -> bodies.Failure | None:
    """The problem of a failed job, or None."""
    failed = job.state is JobState.FAILED
    return bodies.Failure.model_validate(problem(error_of(job))) if failed else None


def problem_response(error: errors.DublError, request: Request) -> JSONResponse:
    """The answer, with headers such as Retry-After."""
    status = _shown_status(error, request)
    body = problem(error) | {"status": int(status), "request_id": request_id_of(request.scope)}
    headers = {}
    if isinstance(error, errors.Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="dubl"'
    if isinstance(error, errors.RateLimited):
        headers["Retry-After"] = str(error.context.get("retry_after_s", RETRY_AFTER_S))
    elif status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def _shown_status(error: errors.DublError, request: Request) -> HTTPStatus:
    """The status for the original client: 400 for its own errors, 500 for all others."""
    if request.scope["path"] != LEGACY_PATH:
        return status_of(type(error))
    wrong = isinstance(error, errors.InputError)
    return HTTPStatus.BAD_REQUEST if wrong else HTTPStatus.INTERNAL_SERVER_ERROR


async def _on_domain_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, errors.DublError)
    if status_of(type(exc)) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("%s: %s %s", exc.code, exc.detail, exc.context)
    return problem_response(exc, request)


async def _on_validation_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    problems = "; ".join(
        f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in exc.errors()
    )
    return problem_response(errors.InvalidRequest(problems), request)


async def _on_http_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    status = HTTPStatus(exc.status_code)
    code = status.phrase.lower().replace(" ", "_").replace("-", "_")
    body = {
        "type": f"urn:dubl:error:{code}",
        "title": status.phrase,
        "status": int(status),
        "detail": str(exc.detail),
        "code": code,
        "request_id": request_id_of(request.scope),
    }
    headers = dict(exc.headers or {})
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


async def _on_unexpected(request: Request, exc: Exception) -> Response:
    logger.error("unexpected error", exc_info=exc)
    error = errors.DublError("The service failed in a way it did not expect; see its log.")
    return problem_response(error, request)


def install(app: FastAPI) -> None:
    """Turns every error of `app` into a problem."""
    app.add_exception_handler(errors.DublError, _on_domain_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_unexpected)
