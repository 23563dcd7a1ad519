import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import structlog
from fastapi import FastAPI, Query
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from common import logs, telemetry
from common.embedded import Cluster
from common.logs import configure_logging
from common.process import Process
from common.telemetry import Telemetry, metrics_page

CANARY = "Wanda Canary"


class Written:
    """What was logged, as objects."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def text(self) -> str:
        return self.file.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    """Logging into a file, as a process of Trellis does; afterwards as before."""
    before = structlog.get_config()
    root = logging.getLogger()
    level = root.level
    configure_logging("mtss", tmp_path / "logs")
    yield Written(tmp_path / "logs" / "mtss.log")
    for handler in [each for each in root.handlers if isinstance(each.formatter, logs.Lines)]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    structlog.configure(**before)


def test_a_line_holds_the_sentence_and_the_fields_that_are_allowed(written: Written):
    structlog.get_logger("common.inbox").warning("event parked", service="sis", event_type="a.b.v1", student=CANARY)

    (line,) = written.lines
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "service": "sis",
        "logger": "common.inbox",
        "event": "event parked",
        "event_type": "a.b.v1",
        "left_out": ["student"],
    }


def test_an_exception_is_logged_by_type_and_place_never_by_its_text(written: Written):
    try:
        int(CANARY)
    except ValueError:
        structlog.get_logger("x").exception("it failed")
        logging.getLogger("library").exception("could not take %s", CANARY)

    assert CANARY not in written.text
    ours, theirs = written.lines
    assert ours["error"] == theirs["error"] == "ValueError"
    assert "test_telemetry.py" in ours["where"]
    assert theirs["event"] == "could not take %s"


def test_what_a_library_puts_together_itself_is_named_by_its_place_only(written: Written):
    logging.getLogger("asyncio").error(f"Task exception was never retrieved: {CANARY}")  # noqa: G004 (as asyncio does)

    assert CANARY not in written.text
    assert written.lines[0]["event"].startswith("test_telemetry.py:")


def test_a_library_that_says_the_same_again_and_again_is_heard_once(written: Written, monkeypatch: pytest.MonkeyPatch):
    def outage(times: int) -> None:
        for _ in range(times):
            logging.getLogger("aiokafka.cluster").warning("Unable to connect to %s", "kafka:9092")

    outage(300)
    assert [line["event"] for line in written.lines] == ["Unable to connect to kafka:9092"]

    monkeypatch.setattr("common.logs.time.monotonic", lambda: float("1e12"))
    outage(1)
    assert written.lines[-1]["repeated"] == 299


def test_what_we_say_ourselves_is_never_held_back(written: Written):
    for _ in range(3):
        structlog.get_logger("x").info("relay waits")
    assert len(written.lines) == 3


def test_configuring_again_does_not_log_twice(written: Written, tmp_path: Path):
    configure_logging("mtss", tmp_path / "logs")
    structlog.get_logger("x").info("once")
    assert len(written.lines) == 1


def test_logs_are_private_to_whom_runs_it(written: Written):
    assert written.file.parent.stat().st_mode & 0o077 == 0


async def test_connections_in_use_stand_on_the_page_of_metrics(cluster: Cluster):
    engine = create_async_engine(cluster.application_url("mtss"))
    Telemetry("mtss").instrument(engine)

    async with engine.connect():
        page = bytes(metrics_page().body).decode()
    await engine.dispose()

    assert 'db_client_connections_usage{service="mtss",state="used"} 1.0' in page
    assert 'db_client_connections_usage{service="mtss",state="idle"} 0.0' in page


# --- traces ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def seen() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(seen: InMemorySpanExporter) -> Iterator[Telemetry]:
    traced = Telemetry("mtss", seen)
    yield traced
    traced.flush()


def spans(traced: Telemetry, seen: InMemorySpanExporter) -> tuple[ReadableSpan, ...]:
    traced.flush()
    return seen.get_finished_spans()


def everything_of(span: ReadableSpan) -> str:
    return f"{span.to_json()} {span.status.description}"


async def test_request_and_statements_are_one_trace_of_the_service_and_name_nobody(
    cluster: Cluster, traced: Telemetry, seen: InMemorySpanExporter, written: Written
):
    engine = create_async_engine(cluster.application_url("mtss"))
    traced.instrument(engine)
    app = FastAPI(telemetry=traced.http)

    @app.get("/mtss/v1/students/{student_id}")
    async def read_student(student_id: str, name: Annotated[str, Query()]) -> str:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT CAST(:name AS text)"), {"name": name})
            with pytest.raises(DBAPIError):
                await connection.execute(text(f"SELECT 1/0 -- {name}"))
        structlog.get_logger("x").info("a student was read", student=student_id)
        return name

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://trellis") as http:
        answer = await http.get(f"/mtss/v1/students/{CANARY}", params={"name": CANARY})
    await engine.dispose()

    assert answer.json() == CANARY
    statements = [span for span in spans(traced, seen) if span.name == "SELECT"]
    (request,) = [span for span in seen.get_finished_spans() if span.name == "GET /mtss/v1/students/{student_id}"]
    assert len(statements) == 2
    assert {span.context.trace_id for span in statements if span.context} == {
        request.context and request.context.trace_id
    }
    assert request.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/mtss/v1/students/{student_id}",
        "network.protocol.version": "1.1",
        "url.scheme": "http",
    }
    assert {span.resource.attributes["service.name"] for span in seen.get_finished_spans()} == {"mtss"}
    assert not any(name in everything_of(span) for span in seen.get_finished_spans() for name in ("Canary", "Wanda"))
    assert "Canary" not in written.text
    assert written.lines[-1]["trace_id"] == format(request.context.trace_id if request.context else 0, "032x")


async def test_two_services_in_one_process_have_spans_of_their_own(cluster: Cluster):
    heard = {name: InMemorySpanExporter() for name in ("sis", "mtss")}
    services = {name: Telemetry(name, heard[name]) for name in heard}
    for name, service in services.items():
        engine = create_async_engine(cluster.application_url(name))
        service.instrument(engine)
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        await engine.dispose()
        service.flush()

    assert {name: {span.name for span in seen.get_finished_spans()} for name, seen in heard.items()} == {
        "sis": {"SELECT"},
        "mtss": {"SELECT"},
    }
    assert {each.resource.attributes["service.name"] for each in heard["sis"].get_finished_spans()} == {"sis"}


async def test_a_failing_request_is_marked_but_its_error_is_not_told(traced: Telemetry, seen: InMemorySpanExporter):
    app = FastAPI(telemetry=traced.http)

    @app.get("/fails")
    async def fail() -> None:
        raise ValueError(CANARY)

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://trellis") as http:
        assert (await http.get("/fails")).status_code == 500

    (span,) = spans(traced, seen)
    assert not span.status.is_ok
    assert (span.attributes or {})["error.type"] == "ValueError"
    assert "Canary" not in everything_of(span)


async def test_health_and_metrics_make_no_span(traced: Telemetry, seen: InMemorySpanExporter):
    app = FastAPI(telemetry=traced.http)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://trellis") as http:
        for path in ("/livez", "/readyz", "/metrics"):
            await http.get(path)

    assert spans(traced, seen) == ()


def test_a_batch_is_one_span_linked_to_where_its_events_were_said(traced: Telemetry, seen: InMemorySpanExporter):
    with traced.batch([], events=1):
        said = telemetry.traceparent()
    with traced.batch([said, None, said, "nonsense"], events=4):
        assert telemetry.traceparent() != said

    first, second = spans(traced, seen)
    assert first.context
    assert [link.context.trace_id for link in second.links] == [first.context.trace_id]
    assert (second.attributes or {})["messaging.batch.message_count"] == 4


def test_without_an_endpoint_nothing_is_traced(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    untraced = Telemetry("mtss")
    with untraced.batch([None], events=1):
        assert telemetry.traceparent() is None
    assert untraced.http["tracing"] is False


def test_with_an_endpoint_spans_go_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    traced = Telemetry("mtss")
    assert traced.http["tracing"] is True
    traced.flush()


# --- metrics ---------------------------------------------------------------------------------------------------------


async def test_the_metrics_page_shows_how_each_service_stands(traced: Telemetry):
    telemetry.record_standing("mtss", lag=7, oldest_unpublished_seconds=1.5, parked=2)
    telemetry.record_standing("sis", lag=None, oldest_unpublished_seconds=None, parked=0)
    telemetry.record_batch("mtss", events=500, seconds=0.02)
    telemetry.record_delivery("notifications", channel="email", outcome="accepted")

    page = telemetry.metrics_page()

    lines = bytes(page.body).decode().splitlines()
    assert (page.media_type or "").startswith("text/plain")
    assert 'trellis_consumer_lag{service="mtss"} 7.0' in lines
    assert not any(line.startswith('trellis_consumer_lag{service="sis"}') for line in lines)
    assert 'trellis_outbox_oldest_seconds{service="mtss"} 1.5' in lines
    assert 'trellis_inbox_parked{service="mtss"} 2.0' in lines
    assert any(line.startswith("trellis_inbox_batch_duration_seconds_bucket") for line in lines)
    assert any('outcome="accepted"' in line for line in lines if line.startswith("trellis_deliveries_total"))


async def test_metrics_of_requests_hold_the_route_and_not_the_path():
    app = FastAPI()
    app.state.name = "sis"

    @app.get("/sis/v1/students/{student_id}")
    async def read_student(student_id: str) -> str:
        return student_id

    async with httpx.AsyncClient(transport=httpx.ASGITransport(Process([app])), base_url="http://trellis") as http:
        await http.get(f"/sis/v1/students/{CANARY}")
        await http.request("CANARY", "/sis/v1/CANARY")

    page = bytes(telemetry.metrics_page().body).decode()
    known = ['service="sis"', 'http_request_method="GET"', 'http_route="/sis/v1/students/{student_id}"']
    count = [line for line in page.splitlines() if line.startswith("http_server_request_duration_seconds_count")]
    assert any(all(label in line for label in [*known, 'http_response_status_code="200"']) for line in count)
    assert any('http_route=""' in line and 'http_response_status_code="404"' in line for line in count)
    assert "CANARY" not in page
    assert "Canary" not in page
