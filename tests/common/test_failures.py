"""What a client hears when something behind the route fails."""

import json
import re
import socket

import asyncpg
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from common.db import is_data_error, is_transient
from tests.harness import Running


@pytest.mark.parametrize("kind", ["away", "value", "bug"])
async def test_a_failure_is_named_by_what_the_client_can_do(
    echo: Running, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    failures = {
        "away": ConnectionRefusedError("a canary"),
        "value": sa.exc.DBAPIError("a canary", None, _with_state("22021")),
        "bug": RuntimeError("a canary"),
    }

    async def fail(*_: object, **__: object) -> None:
        raise failures[kind]

    monkeypatch.setattr("echo.app.publish", fail)
    with capture_logs() as logs:
        response = await echo.http.post(
            "/echo/v1/notes", json={"name": "a", "number": 1}, headers=echo.headers("district")
        )

    assert response.status_code == {"away": 503, "value": 422, "bug": 500}[kind]
    assert ("Retry-After" in response.headers) == (kind == "away")
    assert "canary" not in response.text + str(logs)
    assert logs[-1]["route"].endswith("/v1/notes")


async def test_an_unexpected_error_is_logged_with_its_route_and_where_our_own_code_met_it(
    echo: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        json.loads("{canary}")

    monkeypatch.setattr("echo.app.publish", fail)
    with capture_logs() as logs:
        await echo.http.post("/echo/v1/notes", json={"name": "canary", "number": 1}, headers=echo.headers("district"))

    (line,) = [each for each in logs if each["event"] == "a request failed"]
    assert (line["route"], line["method"], line["error"]) == ("/echo/v1/notes", "POST", "JSONDecodeError")
    assert re.fullmatch(
        r"app\.py:\d+ record_note > test_failures\.py:\d+ fail > decoder\.py:\d+ raw_decode", line["where"]
    )
    assert "canary" not in str(line)


def test_what_may_pass_is_told_from_what_will_not() -> None:
    assert is_transient(socket.gaierror())
    assert is_transient(sa.exc.DBAPIError("", None, _with_state("40001")))
    assert is_transient(asyncpg.InterfaceError("connection is closed"))
    assert is_transient(asyncpg.InternalClientError("another operation is in progress"))
    assert not is_transient(asyncpg.DataError("invalid input for query argument"))
    assert not is_transient(sa.exc.DBAPIError("", None, _with_state("23505")))
    assert is_data_error(sa.exc.DBAPIError("", None, _with_state("22003")))
    assert not is_data_error(ValueError())


class _Refused(Exception):
    sqlstate = ""


def _with_state(state: str) -> _Refused:
    refused = _Refused()
    refused.sqlstate = state
    return refused
