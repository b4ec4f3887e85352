"""Spans of the service under test, in a file a process: in place of `serve_app.tracing`."""

from __future__ import annotations

import os
from pathlib import Path

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

FOLDER = "TEST_SPANS"


def exporters() -> list[SpanProcessor]:
    file = (Path(os.environ[FOLDER]) / f"{os.getpid()}.spans").open("a", encoding="utf-8")
    return [SimpleSpanProcessor(ConsoleSpanExporter(out=file))]


def names_in_trace(trace: str) -> set[str]:
    """Names of the spans that belong to it; the console exporter writes both in each span."""
    texts = [path.read_text(encoding="utf-8") for path in Path(os.environ[FOLDER]).glob("*.spans")]
    spans = [span for text in texts for span in text.split("\n}\n") if f"0x{trace}" in span]
    return {span.split('"name": "', 1)[1].split('"', 1)[0] for span in spans}
