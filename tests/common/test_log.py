"""What is logged stands on a page, and who was let in and who was refused stands in the log."""

import ast
import re
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from common.auth import Principal, staff_token, unverified
from common.keys import read_signing_key
from common.logs import FIELDS
from common.policy import MACHINE, PERSON, REFUSALS_A_MINUTE
from common.provider import Provider
from common.security_log import log_more_refusals
from tests.common.test_telemetry import CANARY, Written, written
from tests.harness import Running, buckets_not_refilling
from tests.identity_provider import Shape
from tests.signing_in import counselor

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def a_new_minute(request: pytest.FixtureRequest) -> None:
    """Nobody was refused before."""
    if "echo" in request.fixturenames:
        request.getfixturevalue("echo").runtime.refused.clear()


LEVELS = {"info", "warning", "error", "exception"}
Line = tuple[str, str, frozenset[str]]

__all__ = ["written"]


def said_in(file: Path) -> set[Line]:
    """Level, sentence and named fields of each line that a file of ours writes to the log."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    return {
        (
            call.func.attr.replace("exception", "error"),
            call.args[0].value,
            frozenset(each.arg for each in call.keywords if each.arg),
        )
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in LEVELS
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "log"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def test_the_page_names_every_line_that_is_logged_with_its_fields() -> None:
    files = [file for part in ("libs", "services") for file in (ROOT / part).rglob("*.py")]
    said = {line for file in files for line in said_in(file)}
    rows = [
        re.split(r"\s*\|\s*", row)[1:4]
        for row in (ROOT / "docs/log.md").read_text().splitlines()
        if row.startswith("| ")
    ]
    page = {
        (level, sentence, frozenset(filter(None, fields.split(", "))))
        for level, sentence, fields in rows
        if level in LEVELS
    }
    assert page == said
    assert {field for _, _, fields in said for field in fields} <= FIELDS


async def test_who_was_let_in_is_logged_once_a_token_and_who_was_refused_each_time(
    echo: Running, written: Written
) -> None:
    counselor = uuid4()
    headers = echo.headers("counselor", staff=counselor)
    for _ in range(2):
        await echo.http.get("/echo/v1/who", headers=headers)
    await echo.http.get("/echo/v1/who", headers={"Authorization": f"Bearer {CANARY}"})
    await echo.http.get("/echo/v1/who")

    about = {"service": "echo", "logger": "common.security_log"}
    lines = [{name: value for name, value in line.items() if name != "time"} for line in written.lines]
    assert all(about.items() <= line.items() for line in lines), lines
    told = [(line["event"], line.get("subject"), line.get("route"), line.get("error")) for line in lines]
    refused = ("a request was refused", str(counselor), "/echo/v1/who", "forbidden")
    unknown = ("a request was refused", None, "/echo/v1/who", "unauthenticated")
    assert told == [("a token was accepted", str(counselor), None, None), refused, refused, unknown, unknown]
    assert CANARY not in written.text
    assert not [part for part in headers["Authorization"].split(".") if part in written.text]


def named_as(running: Running, subject: str) -> str:
    return f"hmac:{running.runtime.vault.digest(f'sub {subject}').hex()[:16]}"


async def test_of_a_token_that_is_signed_and_no_good_it_is_logged_whose_it_is(echo: Running, written: Written) -> None:
    staff = uuid4()
    past = staff_token(read_signing_key(echo.keys / "staff"), role="principal", staff=staff, lifetime_seconds=-60)
    await echo.http.get("/echo/v1/who", headers={"Authorization": f"Bearer {past}"})
    (line,) = written.lines
    assert (line["error"], line["subject"]) == ("unauthenticated", named_as(echo, str(staff)))


async def test_of_an_account_that_has_no_role_or_is_no_staff_it_is_logged_which_it_is(
    echo: Running, provider: Provider, keycloak: Shape, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(echo.runtime, "provider", provider)
    tokens = [counselor(keycloak, groups=["choir"]), counselor(keycloak, email=f"{CANARY.split()[0]}@district.example")]
    for token in tokens:
        await echo.http.get("/echo/v1/desk", headers={"Authorization": f"Bearer {token}"})
    lines = [line for line in written.lines if line["event"] == "a request was refused"]
    assert [(line["error"], line["subject"]) for line in lines] == [
        (error, named_as(echo, str(unverified(token).claims["sub"])))
        for error, token in zip(("role-missing", "staff-unknown"), tokens, strict=True)
    ]
    assert CANARY.split()[0] not in written.text


async def test_who_asks_too_often_leaves_one_line_a_machine_too(echo: Running, written: Written) -> None:
    staff = uuid4()
    asking = {
        "too-many-requests": (echo.headers("principal", staff=staff), Principal("principal", str(staff)), PERSON),
        "machine-too-fast": (echo.service_headers("mtss"), Principal("service", "mtss"), MACHINE),
    }
    with buckets_not_refilling(echo):
        for headers, who, rate in asking.values():
            for _ in range(rate.burst):
                echo.app.state.limits.take(who, None)
            told = [(await echo.http.get("/echo/v1/who", headers=headers)).status_code for _ in range(3)]
            assert told == [429 if rate is PERSON else 503] * 3
    refused = [(line["error"], line["subject"]) for line in written.lines if line["event"] == "a request was refused"]
    assert refused == [("too-many-requests", str(staff)), ("machine-too-fast", "mtss")]


async def test_of_more_refusals_of_one_who_asks_it_is_logged_at_the_end_of_the_minute_how_many(
    echo: Running, written: Written
) -> None:
    staff, more = uuid4(), 4
    for headers in (echo.headers("counselor", staff=staff), {}):
        for _ in range(REFUSALS_A_MINUTE + more):
            assert (await echo.http.get("/echo/v1/who", headers=headers)).status_code in (401, 403)
    assert len(written.lines) == 1 + 2 * REFUSALS_A_MINUTE

    await log_more_refusals(echo.runtime)
    await log_more_refusals(echo.runtime)
    told = [line for line in written.lines if line["event"] == "more requests were refused"]
    assert [(line["service"], line["count"], line.get("subject")) for line in told] == [
        ("echo", more, str(staff)),
        ("echo", more, None),
    ]
    await echo.http.get("/echo/v1/who")
    assert written.lines[-1]["event"] == "a request was refused"


@pytest.mark.parametrize("asked", ["/echo/v1/open/0", f"/echo/v1/students/{UUID(int=7)}"])
async def test_a_refusal_names_the_route_and_nothing_of_the_path(echo: Running, written: Written, asked: str) -> None:
    await echo.http.get(asked, headers=echo.headers("principal", staff=uuid4()))
    assert asked not in written.text
