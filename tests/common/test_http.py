"""What every service answers: problem documents that never echo, and nothing without a token."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from common.access import UndeclaredPermission, declared, public, require
from common.app import Router, create_app
from common.auth import PERMISSIONS
from common.commands import services
from common.scope import access_policy
from tests.harness import Running

CANARY = "Aurelia-Canary"


async def post(echo: Running, content: bytes, **headers: str) -> Any:
    return await echo.http.post(
        "/echo/v1/notes",
        content=content,
        headers=echo.headers("district") | {"Content-Type": "application/json"} | headers,
    )


async def test_a_note_is_accepted_and_said(echo: Running) -> None:
    response = await post(echo, b'{"name": "a", "number": 1}')

    assert response.status_code == 201
    assert len(await echo.said()) == 1


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b'{"name": "%s", "number": "x"}' % CANARY.encode(), 422, "number"),
        (b'{"name": "%s"}' % CANARY.encode(), 422, "number"),
        (b'{"name": "a", "number": 1, "on": "2026-02-30"}', 422, "on"),
        (b'{"name": "a", "number": 1, "%s": 1}' % CANARY.encode(), 422, "is not a known field"),
        (b'{"name": "%s", "name": "b", "number": 1}' % CANARY.encode(), 400, "twice"),
        (b'{"name": "%s\xff"}' % CANARY.encode(), 400, "UTF-8"),
        (b'{"name": "%s' % CANARY.encode(), 400, "too early"),
        (b"[" * 10_000, 400, "too deep"),
        (b'{"name": "a", "number": -1}', 409, "at least 0"),
    ],
    ids=["type", "missing", "date", "unknown", "twice", "utf8", "cut", "deep", "rule"],
)
async def test_bad_input_gets_a_problem_document_without_its_values(
    echo: Running, body: bytes, status: int, says: str
) -> None:
    response = await post(echo, body)

    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert says in response.text
    if says != "is not a known field":  # there the client's own field name is the very thing to name
        assert CANARY not in response.text
    assert None not in response.json().values()
    assert await echo.said() == []


async def test_a_body_over_the_limit_is_413(echo: Running) -> None:
    response = await post(echo, b'{"name": "' + b"x" * (4 * 1024 * 1024) + b'"}')

    assert (response.status_code, response.json()["type"]) == (413, "urn:trellis:problem:too-large")


async def test_a_body_that_does_not_end_in_time_is_408(echo: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.strict.BODY_SECONDS", 0.2)

    async def half_sent() -> AsyncIterator[bytes]:
        yield b'{"name": "a", '
        await asyncio.sleep(2)
        yield b'"number": 1}'

    response = await echo.http.post("/echo/v1/notes", content=half_sent(), headers=echo.headers("district"))

    assert (response.status_code, response.json()["type"]) == (408, "urn:trellis:problem:too-slow")
    assert await echo.said() == []


async def test_a_body_that_comes_in_pieces_within_its_time_is_taken(echo: Running) -> None:
    async def slowly_sent() -> AsyncIterator[bytes]:
        yield b'{"name": "a", '
        await asyncio.sleep(0.2)
        yield b'"number": 1}'

    headers = echo.headers("district") | {"Content-Type": "application/json"}
    response = await echo.http.post("/echo/v1/notes", content=slowly_sent(), headers=headers)

    assert response.status_code == 201


async def test_an_unexpected_error_is_500_and_says_nothing(echo: Running) -> None:
    response = await echo.http.get("/echo/v1/broken")

    assert response.status_code == 500
    assert "canary" not in response.text


@pytest.mark.parametrize("path", ["/echo/v1/nothing", "/echo/v1/open/x", "/echo/v1/open/0"])
async def test_wrong_paths_are_problem_documents_too(echo: Running, path: str) -> None:
    assert (await echo.http.get(path)).headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer x", "Bearer a.b.c", "Basic eA=="])
async def test_no_valid_token_is_401(echo: Running, header: str | None) -> None:
    response = await echo.http.get("/echo/v1/who", headers={"Authorization": header} if header else {})

    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_a_permitted_role_gets_in_with_its_schools(echo: Running) -> None:
    response = await echo.http.get("/echo/v1/who", headers=echo.headers("principal", schools=["7", "8"], staff=uuid4()))

    assert response.json() == {"schools": ["7", "8"]}


async def test_another_role_is_403(echo: Running) -> None:
    assert (await echo.http.get("/echo/v1/who", headers=echo.headers("counselor"))).status_code == 403


async def test_only_the_named_sister_gets_in(echo: Running) -> None:
    assert (await echo.http.get("/echo/v1/who", headers=echo.service_headers("mtss"))).status_code == 200
    assert (await echo.http.get("/echo/v1/who", headers=echo.service_headers("surveys"))).status_code == 403


async def test_a_named_permission_opens_what_the_role_alone_does_not(echo: Running) -> None:
    alone = await echo.http.get("/echo/v1/drawer", headers=echo.headers("district"))
    other = await echo.http.get("/echo/v1/drawer", headers=echo.headers("district", permissions=["another"]))
    named = await echo.http.get("/echo/v1/drawer", headers=echo.headers("district", permissions=[*PERMISSIONS]))

    assert [answer.status_code for answer in (alone, other, named)] == [403, 403, 200]
    assert alone.json()["type"] == "urn:trellis:problem:permission-missing"
    assert "surveys.import-paper" in alone.json()["detail"]


async def test_a_named_permission_is_no_role(echo: Running) -> None:
    stranger = await echo.http.get("/echo/v1/drawer", headers=echo.headers("principal", permissions=[*PERMISSIONS]))
    sister = await echo.http.get("/echo/v1/drawer", headers=echo.service_headers("mtss"))

    assert (stranger.json()["type"], sister.status_code) == ("urn:trellis:problem:forbidden", 200)


@pytest.mark.parametrize("permission", ["root", ""])
def test_a_route_cannot_demand_a_permission_that_nobody_can_be_given(permission: str) -> None:
    with pytest.raises(ValueError, match="unknown"):
        require("district", permission=permission, reads=["non_personal"], purpose="operations")


@pytest.mark.parametrize(
    "said", [{"reads": [], "purpose": "operations"}, {"reads": ["secrets"], "purpose": "operations"}]
    + [{"reads": ["directory"], "purpose": purpose} for purpose in ("", "curiosity")],
)  # fmt: skip
def test_a_route_that_does_not_say_what_it_tells_and_for_what_fails_at_start(said: Any) -> None:
    with pytest.raises(ValueError, match="field classes or purpose"):
        require("district", **said)
    with pytest.raises(ValueError, match="field classes or purpose"):
        public("anybody may see", **said)


def test_what_a_route_tells_is_within_its_purpose_and_for_one_of_its_roles_at_least() -> None:
    policy = access_policy()
    for load in services().values():
        for route, (permission,) in declared(load()):
            gives, purpose = permission.reads | permission.mixes, permission.purpose
            assert gives <= policy.for_purpose[purpose] | {"non_personal"}, route
            for role in permission.roles:
                assert permission.reads <= policy.may_read(role, purpose), (route, role)


def test_every_permission_that_can_be_given_is_demanded_by_a_route() -> None:
    routes = [permissions for load in services().values() for _, permissions in declared(load())]

    assert {each.named for permissions in routes for each in permissions} - {None} == PERMISSIONS


def test_a_route_without_a_declared_permission_fails_at_start() -> None:
    router = Router("echo")

    @router.get("/v1/undeclared")
    async def read_undeclared() -> None: ...

    with pytest.raises(UndeclaredPermission):
        create_app("echo", router)


async def test_a_parameter_that_the_route_does_not_take_is_refused_by_name(echo: Running) -> None:
    asked = await echo.http.get("/echo/v1/who?scool=Canary", headers=echo.headers("principal"))
    stranger = await echo.http.get("/echo/v1/who?scool=Canary")
    by_link = await echo.http.get("/echo/v1/open/1?utm_source=Canary")

    assert (asked.status_code, asked.json()["errors"]) == (
        422,
        [{"field": "scool", "rule": "is not a known parameter"}],
    )
    assert "Canary" not in asked.text
    assert (stranger.status_code, by_link.status_code) == (401, 200)
