"""Claims about the way of a request's id and trace into its job."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_trace_id
from ray.serve import context

from dubl.types import Job, JobKind, JobState
from serve_app import origin

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def _job(request_id: str) -> Job:
    return Job(
        id="j",
        kind=JobKind.CHECK,
        state=JobState.RUNNING,
        subject_id="s",
        request={},
        created_at="2026-01-01T00:00:00.000Z",
        request_id=request_id,
        traceparent=f"00-{TRACE}-00f067aa0ba902b7-01",
    )


def test_a_job_taken_from_the_ledger_goes_on_with_the_requests_id_and_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exported, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    monkeypatch.setattr(origin.trace, "get_tracer", provider.get_tracer)
    token = context._serve_request_context.set(context._RequestContext())
    try:
        with origin.continued(_job("r-1")):
            assert origin.current_request_id() == "r-1"
            # What the next hop, or a job's child, is told.
            assert origin.current_traceparent().split("-")[1] == TRACE
        with origin.continued(_job("")):
            assert origin.current_request_id() == "j"
    finally:
        context._serve_request_context.reset(token)
    (span, _) = exported.get_finished_spans()
    assert (span.name, format_trace_id(span.context.trace_id)) == ("job check", TRACE)
    assert span.attributes == {"dubl.job_id": "j", "dubl.attempt": 0, "dubl.request_id": "r-1"}
