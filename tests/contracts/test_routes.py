"""Where services answer, and what their routes declare."""

import math
from importlib import import_module
from typing import Any

import httpx
import pytest
from fastapi import Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from common.access import public
from common.db import open_session
from common.described import Described
from common.idempotency import happens_once
from common.limits import Limits
from tests.documented import Documented
from tests.harness import SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_of_a_service_stands_under_its_name(service: str) -> None:
    paths = [route.path for route in import_module(f"{service}.app").app.routes]
    assert paths
    assert [path for path in paths if path.split("/")[1] != service] == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_post_happens_once_for_its_key_or_says_why_it_needs_none(service: str) -> None:
    undeclared = [
        context.path
        for context in iter_route_contexts(import_module(f"{service}.app").app.routes)
        if isinstance(context.original_route, APIRoute)
        and "POST" in (context.methods or ())
        and happens_once(context.dependant) == hasattr(context.endpoint, "__repeatable__")
    ]
    assert undeclared == [], "declare ONCE in its dependencies, or @repeatable with the reason (common.idempotency)"


@pytest.mark.parametrize("service", SERVICES)
def test_nobody_may_ask_for_more_than_five_hundred_items_at_once(service: str) -> None:
    asked = {
        f"{method} {path}": parameter["schema"].get("maximum", math.inf)
        for path, operations in import_module(f"{service}.app").app.openapi()["paths"].items()
        for method, operation in operations.items()
        for parameter in operation.get("parameters", ())
        if parameter["name"] == "limit"
    }
    for checked in ("decisions", "proposals"):
        asked.pop(f"post /mtss/v1/{checked}/verify", None)  # how many are looked through, not how many are answered
    assert {route: most for route, most in asked.items() if most > 500} == {}


@pytest.mark.parametrize("service", SERVICES)
def test_a_list_is_answered_page_by_page(service: str) -> None:
    document = import_module(f"{service}.app").app.openapi()
    whole = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answer = (
                operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
            )
            schema = document["components"]["schemas"].get(answer.get("$ref", "").rpartition("/")[2], {})
            takes = {parameter["name"] for parameter in operation.get("parameters", ())}
            if "next" in schema.get("properties", {}) and not takes >= {"limit", "cursor"}:
                whole.append(f"{method} {path}")
    assert whole == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_route_that_happens_once_takes_the_transaction_that_its_answer_is_kept_in(service: str) -> None:
    missing = [
        context.path
        for context in iter_route_contexts(import_module(f"{service}.app").app.routes)
        if isinstance(context.original_route, APIRoute)
        and happens_once(context.dependant)
        and open_session not in _functions(context.dependant)
    ]
    assert missing == []


def _functions(dependant: Dependant) -> set[Any]:
    return {dependant.call}.union(*map(_functions, dependant.dependencies))


async def test_an_answer_that_the_document_does_not_name_fails_every_test() -> None:
    app = Described()
    app.state.limits = Limits()

    @app.get(
        "/teapot/{number}", dependencies=[public("a test needs one", reads=["non_personal"], purpose="operations")]
    )
    async def pour(number: int) -> Response:
        return Response(status_code=number)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(Documented(app)), base_url="http://testserver") as http:
        assert (await http.get("/teapot/404")).status_code == 404
        with pytest.raises(AssertionError, match=r"GET /teapot/\{number\} answers 418"):
            await http.get("/teapot/418")
