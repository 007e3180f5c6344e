"""OpenTelemetry traces, when an exporter is configured; otherwise nothing, at no cost.

It is configured by OpenTelemetry's own variables (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/):
``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``) sends spans there by OTLP over HTTP,
``OTEL_TRACES_EXPORTER=console`` writes them to standard error. The extra ``otel`` brings what it needs.

One trace leads from the request that brought an event to the request that took it to MSG91: its parent travels with the
batch, as a W3C ``traceparent``.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NOTHING: AbstractContextManager[None] = nullcontext()
_tracer: Tracer | None = None


def configure_tracing(process: str) -> bool:
    """Begin to trace, if an exporter is configured; whether it is.

    Args:
        process: What kind of process this is: ``worker`` or ``intake``.
    """
    global _tracer  # noqa: PLW0603 - one per process
    wanted = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if wanted == "none" or not (wanted or any(os.environ.get(name) for name in _ENDPOINTS)):
        return False
    try:
        _tracer = _make_tracer(process, wanted or "otlp")
    except ImportError as error:
        log.warning("no traces: %s; pip install 'msg91-destination[otel]' brings what is missing", error)
        return False
    return _tracer is not None


def _make_tracer(process: str, exporter: str) -> Tracer | None:
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
        BatchSpanProcessor,
        ConsoleSpanExporter,
        SimpleSpanProcessor,
    )

    name = os.environ.get("OTEL_SERVICE_NAME") or f"msg91-destination-{process}"
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    if exporter == "console":
        console = ConsoleSpanExporter(out=sys.stderr, formatter=lambda span: f"span {span.to_json(indent=None)}\n")
        provider.add_span_processor(SimpleSpanProcessor(console))
    elif exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    else:
        log.warning(
            "no traces: OTEL_TRACES_EXPORTER is %r, which is not known here; expected otlp or console", exporter
        )
        return None
    return provider.get_tracer("msg91-destination")


def span(name: str, *, parent: str = "", **attributes: Any) -> AbstractContextManager[Any]:
    """A span for the duration of a ``with`` block; nothing when nothing is traced.

    Args:
        name: What happens.
        parent: A ``traceparent`` from elsewhere; the span that is open here unless given.
        attributes: What is known of it; no phone numbers and no texts.
    """
    if _tracer is None:
        return _NOTHING
    return _tracer.start_as_current_span(name, context=_context(parent), attributes=attributes)


def traceparent() -> str:
    """The open span as a W3C ``traceparent``, ``""`` when there is none."""
    if _tracer is None:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


def _context(parent: str) -> Any:
    if not parent:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    return TraceContextTextMapPropagator().extract({"traceparent": parent})
