"""The FastAPI application over the engine."""

from __future__ import annotations

from fastapi import FastAPI

from dubl.assembly import make_spool
from dubl.engine.engine import Engine
from serve_app.api import (
    audit,
    backup,
    checks,
    deliveries,
    duplicates,
    evidence,
    guard,
    jobs,
    keys,
    legacy,
    problems,
    references,
    retention,
    reviews,
    search,
    session,
    spaces,
    system,
)
from serve_app.api.access import AccessControl, KeyRing
from serve_app.api.admission import Admission, LoadLimit, Places
from serve_app.api.context import Context
from serve_app.api.middleware import ComposedPath, RequestIdMiddleware
from serve_app.api.readiness import Readiness
from serve_app.api.submissions import MAX_FIELDS_BYTES
from serve_app.web import console

# Room for the plain fields and the wrapping of a body, beside the file.
BODY_MARGIN_BYTES = 2 * MAX_FIELDS_BYTES


# The first route that fits answers: those whose ids may hold slashes come last.
ROUTES = (
    evidence,
    search,
    reviews,
    guard,
    retention,
    checks,
    references,
    duplicates,
    legacy,
    jobs,
    deliveries,
    spaces,
    system,
    keys,
    audit,
    session,
    backup,
)


def make_http_app(engine: Engine, *, keys_required: bool = False, local: bool = False) -> FastAPI:
    """All routes, with errors as problem+json and a request id on every answer.

    `keys_required` and `local` as in AccessControl. Raises ConfigurationError for an invalid root
    key.
    """
    settings = engine.settings
    # FastAPI's own pages load scripts from other hosts; the console has one of ours.
    app = FastAPI(
        title="Video Duplicate Checker API", version="1.0.0", docs_url=None, redoc_url=None
    )
    ring = KeyRing(engine.ledger, settings.access, settings.data_dir)
    app.state.context = Context(
        engine=engine,
        spool=make_spool(settings),
        admission=Admission(settings.serve),
        keys=ring,
        readiness=Readiness(engine),
    )
    for routes in ROUTES:
        app.include_router(routes.router)
    console.install(app)
    problems.install(app)
    app.add_middleware(ComposedPath)
    app.add_middleware(audit.AuditTrail, ledger=engine.ledger)
    app.add_middleware(
        AccessControl,
        ring=ring,
        settings=settings.access,
        required=keys_required,
        local=local,
        max_body_bytes=settings.media.max_size_bytes + BODY_MARGIN_BYTES,
        places=Places(
            settings.serve.max_requests, share=settings.serve.key_share, of="requests under way"
        ),
    )
    app.add_middleware(LoadLimit, max_requests=settings.serve.max_requests)
    app.add_middleware(RequestIdMiddleware)
    return app
