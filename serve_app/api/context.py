"""What every route needs, injected by FastAPI: `async def route(context: RouteContext)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from dubl.engine.engine import Engine
from dubl.engine.handles import Handle
from dubl.engine.ledger import LedgerClient
from dubl.media.spool import Spool
from dubl.settings import Settings
from serve_app.api.access import KeyRing
from serve_app.api.admission import Admission


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One per application."""

    engine: Engine
    spool: Spool
    admission: Admission
    keys: KeyRing

    @property
    def settings(self) -> Settings:
        return self.engine.settings

    @property
    def ledger(self) -> LedgerClient:
        return self.engine.ledger

    @property
    def librarian(self) -> Handle:
        return self.engine.steps.librarian


def context_of(request: Request) -> Context:
    """The context that make_http_app has set."""
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


RouteContext = Annotated[Context, Depends(context_of)]
