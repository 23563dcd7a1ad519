"""Traces and metrics by OpenTelemetry: what happened, how long it took, never about whom.

Spans are made only if an endpoint is configured, by OpenTelemetry's own variable ``OTEL_EXPORTER_OTLP_ENDPOINT``. They and
the metrics keep the attributes in :data:`ATTRIBUTES` and nothing else: a path, a statement or an error's text may hold a
student. Each service of a process has its own tracer; the metrics of a process are one page, and say which service.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Any
from weakref import WeakValueDictionary

from fastapi.telemetry import TelemetryConfig
from opentelemetry import metrics, propagate, trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.sqlalchemy.engine import EngineTracer
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Status
from opentelemetry.util.types import Attributes
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ATTRIBUTES = frozenset(
    {
        "channel",
        "db.name",
        "db.namespace",
        "db.system",
        "db.system.name",
        "error.type",
        "exception.type",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "messaging.batch.message_count",
        "messaging.system",
        "network.protocol.version",
        "outcome",
        "service",
        "state",
        "url.scheme",
    }
)
"""Names of the attributes that spans and metrics may carry."""

_HEALTH = ("/livez", "/readyz", "/metrics")
_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_FOLLOWED_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_BATCH_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_registry = CollectorRegistry()
_meters = MeterProvider(
    metric_readers=[PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=_registry)],
    views=[View(instrument_name="*", attribute_keys=set(ATTRIBUTES))],
    shutdown_on_exit=False,
)
_meter = _meters.get_meter("trellis")
_lag = _meter.create_gauge("trellis.consumer.lag", "{event}", "Events in Kafka that this service has not heard.")
_oldest = _meter.create_gauge("trellis.outbox.oldest", "s", "Age of the oldest event that is not published yet.")
_parked = _meter.create_gauge("trellis.inbox.parked", "{event}", "Events that could not be handled, and those behind.")
_alerts = _meter.create_counter("trellis.alerts", "{alert}", "Alerts that were told, each once at each set age.")
_batch = _meter.create_histogram(
    "trellis.inbox.batch.duration",
    "s",
    "How long one batch of events took, commit included.",
    explicit_bucket_boundaries_advisory=_BATCH_SECONDS,
)
_waiting = _meter.create_gauge("trellis.waiting.rows", "{row}", "Rows that wait for what they refer to.")
_longest = _meter.create_gauge("trellis.waiting.oldest", "s", "How long the oldest of them waits.")
_help_waiting = _meter.create_gauge("trellis.help.waiting", "{request}", "Requests for help that wait for an answer.")
_help_late = _meter.create_gauge("trellis.help.late", "{request}", "Those of them that should be answered by now.")
_silent = _meter.create_gauge("trellis.schools.silent", "{school}", "Schools that closed no day for too long.")
_heard = _meter.create_counter("trellis.inbox.events", "{event}", "Events handled.")
_deliveries = _meter.create_counter("trellis.deliveries", "{delivery}", "Messages to families by channel and outcome.")


def _connections_now(_: metrics.CallbackOptions) -> Iterator[metrics.Observation]:
    for service, engine in list(_engines.items()):
        pool = engine.pool
        if isinstance(pool, QueuePool):
            yield metrics.Observation(pool.checkedout(), {"service": service, "state": "used"})
            yield metrics.Observation(pool.checkedin(), {"service": service, "state": "idle"})


# Looked at when somebody asks: counting each time one is lent and given back costs more than lending it.
_engines: WeakValueDictionary[str, Engine] = WeakValueDictionary()
_meter.create_observable_up_down_counter(
    "db.client.connections.usage", [_connections_now], "{connection}", "Database connections."
)


def record_standing(service: str, *, lag: int | None, oldest_unpublished_seconds: float | None, parked: int) -> None:
    """Note how a service stands: its lag in events, the age of what it has not published, what is parked."""
    if lag is not None:
        _lag.set(lag, {"service": service})
    _oldest.set(oldest_unpublished_seconds or 0.0, {"service": service})
    _parked.set(parked, {"service": service})


def record_waiting(service: str, *, rows: int, oldest_seconds: float) -> None:
    """Note how many rows wait for what they refer to, and how long the oldest of them does."""
    _waiting.set(rows, {"service": service})
    _longest.set(oldest_seconds, {"service": service})


def record_help(service: str, *, waiting: int, late: int) -> None:
    """Note how many requests for help wait for an answer, and how many of them are late."""
    _help_waiting.set(waiting, {"service": service})
    _help_late.set(late, {"service": service})


def record_silent(service: str, *, schools: int) -> None:
    """Note how many schools are silent."""
    _silent.set(schools, {"service": service})


def record_alert(service: str, *, state: str) -> None:
    """Note one alert that was told: state such as ``school-not-submitted``."""
    _alerts.add(1, {"service": service, "state": state})


def record_batch(service: str, *, events: int, seconds: float) -> None:
    """Note one batch of events that was handled and committed."""
    _batch.record(seconds, {"service": service})
    _heard.add(events, {"service": service})


def record_delivery(service: str, *, channel: str, outcome: str) -> None:
    """Note one message to a family: channel such as ``email``, outcome such as ``accepted``."""
    _deliveries.add(1, {"service": service, "channel": channel, "outcome": outcome})


# Not through OpenTelemetry, which looks at each measurement again for every view: that was a tenth of what a push of one row costs.
_request_seconds = Histogram(
    "http_server_request_duration_seconds",
    "Duration of HTTP server requests.",
    ("service", "http_request_method", "http_route", "http_response_status_code"),
    registry=_registry,
    buckets=_REQUEST_SECONDS,
)


async def measured(service: str, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one request, and note its route, its status (0 if it broke off before) and how long it took."""
    begun, status = perf_counter(), 0

    async def note(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    try:
        await app(scope, receive, note)
    finally:
        route = getattr(scope.get("route"), "path", "")
        method = scope["method"] if route else ""  # without a route it may be anything
        _request_seconds.labels(service, method, route, status).observe(perf_counter() - begun)


_followed_seconds = Histogram(
    "trellis_followed_seconds",
    "From the moment something was accepted, such as a push, to the commit of what a service made of it, such as decisions.",
    ("service",),
    registry=_registry,
    buckets=_FOLLOWED_SECONDS,
)


def record_followed(service: str, *, seconds: Iterable[float]) -> None:
    """Note how long ago each of what is now committed was accepted elsewhere."""
    followed = _followed_seconds.labels(service)
    for each in seconds:
        followed.observe(max(0.0, each))


def metrics_page() -> Response:
    """All metrics of this process in Prometheus's text format: the answer of ``/metrics``."""
    return Response(generate_latest(_registry), media_type=CONTENT_TYPE_LATEST)


class Telemetry:
    """The traces of one service: ``FastAPI(telemetry=telemetry.http)`` and ``telemetry.instrument(engine)``."""

    def __init__(self, service: str, exporter: SpanExporter | None = None) -> None:
        self.service = service
        self._provider: TracerProvider | None = None
        exporter = exporter or _configured_exporter()
        if exporter is not None:
            self._provider = TracerProvider(resource=Resource.create({"service.name": service}))
            self._provider.add_span_processor(BatchSpanProcessor(OnlyAllowed(exporter)))

    @property
    def http(self) -> TelemetryConfig:
        """How FastAPI shall observe requests. Its logs are off: they hold what it could not validate; :func:`measured` measures."""
        return {
            "tracing": self._provider is not None,
            "tracer_provider": self._provider,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
            "exclude": lambda scope: scope["path"] in _HEALTH,
        }

    def instrument(self, engine: AsyncEngine) -> None:
        """Count the connections of ``engine`` and, where spans are exported, make one for each of its statements."""
        _engines[self.service] = engine.sync_engine
        if self._provider is not None:
            # Not through the instrumentor: it is one for the process and would wrap the engines of other services too.
            EngineTracer(self._provider.get_tracer("sqlalchemy"), engine.sync_engine, metrics.NoOpUpDownCounter(""))

    def batch(self, traceparents: Iterable[str | None], *, events: int) -> AbstractContextManager[object]:
        """One span around a batch of events, linked to the traces in which they were said; never one for each event."""
        if self._provider is None:
            return nullcontext()
        return self._provider.get_tracer("trellis").start_as_current_span(
            f"handle {self.service}",
            kind=SpanKind.CONSUMER,
            links=[link for each in set(traceparents) if each for link in _links_to(each)],
            attributes={"messaging.system": "kafka", "messaging.batch.message_count": events},
            record_exception=False,
        )

    def flush(self) -> None:
        """Send what waits, before the process ends."""
        if self._provider is not None:
            self._provider.shutdown()


def traceparent() -> str | None:
    """The current trace as a W3C ``traceparent``, to be carried by what is said now; ``None`` outside any trace."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


class OnlyAllowed(SpanExporter):
    """Exports spans without anything that might be about a person."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hand the spans on with the allowed attributes only."""
        return self._exporter.export([_without_people(span) for span in spans])

    def shutdown(self) -> None:
        """End the export."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits."""
        return self._exporter.force_flush(timeout_millis)


def _without_people(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_allowed(span.attributes),
        events=[Event(event.name, _allowed(event.attributes), event.timestamp) for event in span.events],
        links=[Link(link.context) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _allowed(attributes: Attributes | Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (attributes or {}).items() if name in ATTRIBUTES}


def _links_to(parent: str) -> Sequence[Link]:
    context = trace.get_current_span(propagate.extract({"traceparent": parent})).get_span_context()
    return [Link(context)] if context.is_valid else []


def _configured_exporter() -> SpanExporter | None:
    if not any(os.environ.get(f"OTEL_EXPORTER_OTLP_{kind}ENDPOINT") for kind in ("", "TRACES_")):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # a fifth of a second to import

    return OTLPSpanExporter()
