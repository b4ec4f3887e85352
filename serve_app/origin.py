"""The origin of a job: id and trace of the accepting request continue in the job.

Serve passes both between deployments; the ledger is between acceptance and work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from ray.serve import context

from dubl.types import Job

TRACEPARENT = "traceparent"
PROPAGATOR = TraceContextTextMapPropagator()


def current_request_id() -> str:
    """Id of the current request."""
    return str(context._get_serve_request_context().request_id)


def current_traceparent() -> str:
    """The W3C header of the current span; empty without tracing."""
    carrier: dict[str, str] = {}
    PROPAGATOR.inject(carrier)
    return carrier.get(TRACEPARENT, "")


def span(name: str) -> AbstractContextManager[object]:
    """A span of the current trace around a block."""
    return trace.get_tracer(__name__).start_as_current_span(name)


@contextmanager
def continued(job: Job) -> Iterator[None]:
    """Assigns logs and spans of the block to the request with this id and trace."""
    wanted = job.request_id or job.id
    if current_request_id() != wanted:  # taken from the ledger, not from the request itself
        context._serve_request_context.set(context._RequestContext(request_id=wanted))
    traced = trace.get_current_span().get_span_context().is_valid
    parent = None if traced else PROPAGATOR.extract({TRACEPARENT: job.traceparent})
    tracer = trace.get_tracer(__name__)
    with tracer.start_as_current_span(f"job {job.kind.value}", context=parent) as span:
        span.set_attribute("dubl.job_id", job.id)
        span.set_attribute("dubl.attempt", job.attempts)
        span.set_attribute("dubl.request_id", wanted)
        yield
