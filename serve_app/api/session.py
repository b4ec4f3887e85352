"""/v1/session: who the caller is, and the console's log-in."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from dubl.contract import bodies
from serve_app.api.access import COOKIE, SESSION_S, Principal, principal_of, token_in
from serve_app.api.context import RouteContext
from serve_app.api.proxied import PERSON

router = APIRouter(prefix="/v1/session", tags=["keys"])


@router.get("")
async def who(request: Request) -> bodies.Session:
    """The caller's key; all empty where no key is required."""
    return _body(principal_of(request))


@router.post("")
async def log_in(context: RouteContext, request: Request, response: Response) -> bodies.Session:
    """Sets a cookie that stands for the key of this request in a browser, for half a day.

    Changes that are sent with the cookie need the header `X-Dubl-Console`, which pages of other
    hosts cannot send.
    """
    principal = principal_of(request)
    if principal.key_id and (token := token_in(request.headers)):
        response.set_cookie(
            COOKIE,
            await context.keys.log_in(token),
            max_age=SESSION_S,
            httponly=True,
            samesite="strict",
            secure="https" in (request.url.scheme, request.headers.get("x-forwarded-proto")),
        )
    return _body(principal)


@router.delete("", status_code=204)
async def log_out(response: Response) -> None:
    """Deletes the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def _body(principal: Principal) -> bodies.Session:
    return bodies.Session(
        name=principal.name,
        scopes=tuple(sorted(principal.scopes)),
        libraries=principal.libraries,
        has_key=bool(principal.key_id),
        by_proxy=principal.key_id.startswith(PERSON),
    )
