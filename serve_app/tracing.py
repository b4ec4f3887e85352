"""Where spans go: Serve makes one for each call between deployments and asks this function, which
`tracing_config` in serve_config.yaml names, for what sends them.

The address, headers and name of the service are OpenTelemetry's own variables:
OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME.
"""

from __future__ import annotations

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from dubl.errors import needs_extra


def exporters() -> list[SpanProcessor]:
    """Sends spans in batches, by OTLP over HTTP."""
    with needs_extra():
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return [BatchSpanProcessor(OTLPSpanExporter())]
