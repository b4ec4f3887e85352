"""The FastAPI application over a Service."""

from __future__ import annotations

from fastapi import FastAPI

from dubl.assembly import make_spool
from dubl.settings import Settings
from serve_app.api import problems
from serve_app.api.access import AccessControl, AdminService, KeyRing
from serve_app.api.backup import backup_router
from serve_app.api.checks import checks_router
from serve_app.api.conversation import Context
from serve_app.api.deliveries import deliveries_router
from serve_app.api.duplicates import duplicates_router
from serve_app.api.evidence import evidence_router
from serve_app.api.guard import guard_router
from serve_app.api.jobs import jobs_router
from serve_app.api.keys import keys_router
from serve_app.api.legacy import legacy_router
from serve_app.api.load_limit import LoadLimit
from serve_app.api.references import references_router
from serve_app.api.request_id import RequestIdMiddleware
from serve_app.api.reviews import reviews_router
from serve_app.api.search import search_router
from serve_app.api.service import Service
from serve_app.api.spaces import spaces_router
from serve_app.api.system import system_router
from serve_app.api.uploads import MAX_FIELDS_BYTES
from serve_app.web import console

# Room for the plain fields and the wrapping of a body, beside the file.
BODY_MARGIN_BYTES = 2 * MAX_FIELDS_BYTES


def make_http_app(
    service: Service,
    settings: Settings,
    *,
    keys: AdminService,
    keys_required: bool = False,
    local: bool = False,
) -> FastAPI:
    """All routes, with errors as problem+json and a request id on every answer; `keys_required`
    and `local` as in AccessControl."""
    # FastAPI's own pages load scripts from other hosts; the console has one of ours.
    app = FastAPI(
        title="Video Duplicate Checker API", version="1.0.0", docs_url=None, redoc_url=None
    )
    context = Context(
        service=service,
        settings=settings,
        spool=make_spool(settings),
    )
    # Before the routes whose ids may hold slashes: the first that fits answers.
    app.include_router(evidence_router(context))
    app.include_router(search_router(context))
    app.include_router(reviews_router(context))
    app.include_router(guard_router(context))
    app.include_router(checks_router(context))
    app.include_router(references_router(context))
    app.include_router(duplicates_router(context))
    app.include_router(legacy_router(context))
    app.include_router(jobs_router(context))
    app.include_router(deliveries_router(context))
    app.include_router(spaces_router(context))
    app.include_router(system_router(context))
    ring = KeyRing(keys, refresh_s=settings.access.refresh_s)
    app.include_router(keys_router(keys, ring))
    app.include_router(backup_router(keys))
    console.install(app)
    problems.install(app)
    app.add_middleware(
        AccessControl,
        service=keys,
        ring=ring,
        settings=settings.access,
        required=keys_required,
        local=local,
        max_body_bytes=settings.media.max_size_bytes + BODY_MARGIN_BYTES,
    )
    app.add_middleware(LoadLimit, max_requests=settings.serve.max_requests)
    app.add_middleware(RequestIdMiddleware)
    return app
