"""Export of traces. Serve makes a span for each call between deployments.

`tracing_config` in serve_config.yaml names the function here that returns the exporters. Address,
headers and service name are OpenTelemetry's own variables: OTEL_EXPORTER_OTLP_ENDPOINT,
OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME.
"""

from __future__ import annotations

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from dubl.errors import needs_extra


def exporters() -> list[SpanProcessor]:
    """Exporters that send spans in batches, by OTLP over HTTP."""
    with needs_extra():
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return [BatchSpanProcessor(OTLPSpanExporter())]
