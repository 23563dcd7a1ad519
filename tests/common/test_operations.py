"""What an operator asks a service: how it stands, to say everything again, and what it forgets."""

from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
import structlog
from starlette.types import Message, Receive, Scope, Send

from common.app import MAX_WAITING_REQUESTS, Edge
from common.events import SurveyScored
from common.operations import RETENTION, forget_old_events, measure
from common.telemetry import metrics_page
from tests.common.test_inbox import decided
from tests.harness import Running, record


async def test_a_service_says_how_it_stands(echo: Running) -> None:
    await echo.http.post("/echo/v1/notes", json={"name": "a", "number": 1}, headers=echo.headers("district"))

    status = (await echo.http.get("/echo/v1/status", headers=echo.headers("district"))).json()

    assert (status["service"], status["migrations"], status["unpublished"], status["parked"]) == (
        "echo",
        "current",
        1,
        0,
    )
    assert status["oldest_unpublished_seconds"] >= 0


@pytest.mark.parametrize("role", ["sis", "principal", "counselor", "facilitator"])
async def test_only_the_district_operates(echo: Running, role: str) -> None:
    assert (await echo.http.get("/echo/v1/status", headers=echo.headers(role))).status_code == 403
    assert (await echo.http.post("/echo/v1/events/resend", headers=echo.headers(role))).status_code == 403


async def test_what_stands_is_said_again_under_the_same_ids(echo: Running) -> None:
    for _ in range(2):
        response = await echo.http.post("/echo/v1/events/resend", headers=echo.headers("district"))
        assert response.json() == {"events": 3}

    said = await echo.said(SurveyScored)
    async with echo.session() as session:
        ids = (await session.execute(sa.text("SELECT id FROM outbox"))).scalars().all()

    assert len(said) == 3
    assert set(ids) == {event.standing_id() for event in said}


async def test_a_dry_run_of_saying_again_says_nothing(echo: Running) -> None:
    response = await echo.http.post("/echo/v1/events/resend?dry_run=true", headers=echo.headers("district"))

    assert response.json() == {"events": 3}
    assert await echo.said() == []


async def test_old_ids_and_published_rows_are_forgotten_and_waiting_ones_never(echo: Running) -> None:
    await echo.app.state.inbox.process([record(decided(uuid4()))])
    for name in ("published", "waiting"):
        await echo.http.post("/echo/v1/notes", json={"name": name, "number": 1}, headers=echo.headers("district"))
    long_ago = RETENTION + timedelta(days=1)
    async with echo.session() as session:
        await session.execute(
            sa.text("UPDATE inbox SET received_at = now() - CAST(:ago AS interval)"), {"ago": long_ago}
        )
        await session.execute(
            sa.text(
                "UPDATE outbox SET created_at = now() - CAST(:ago AS interval), "
                "published_at = CASE WHEN position = 1 THEN now() - CAST(:ago AS interval) END"
            ),
            {"ago": long_ago},
        )

    await forget_old_events(echo.runtime)

    async with echo.session() as session:
        assert (await session.execute(sa.text("SELECT count(*) FROM inbox"))).scalar_one() == 0
        assert (await session.execute(sa.text("SELECT count(*) FROM outbox"))).scalar_one() == 1


async def test_what_is_parked_shows_in_the_metrics(echo: Running) -> None:
    await echo.deliver(decided(uuid4(), policy="bug"))

    await measure(echo.runtime)

    page = bytes(metrics_page().body).decode()
    assert 'trellis_inbox_parked{service="echo"} 1.0' in page


async def test_too_many_waiting_requests_are_refused_before_their_body_is_read(echo: Running) -> None:
    async def never(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("the application was asked")

    async def body() -> Message:
        raise AssertionError("the body was read")

    answers: list[Message] = []

    async def note(message: Message) -> None:
        answers.append(message)

    edge = Edge(never)
    edge.waiting = MAX_WAITING_REQUESTS

    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            await edge({"type": "http", "app": echo.app, "method": "POST", "path": "/", "headers": []}, body, note)

    assert [(line["event"], line["count"]) for line in lines] == [("requests are refused: too many wait", edge.waiting)]
    assert answers[0]["status"] == 503
    assert (b"retry-after", b"2") in answers[0]["headers"]
    assert (b"cache-control", b"no-store") in answers[0]["headers"]
