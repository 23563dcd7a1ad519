"""Where services answer, and what their routes declare."""

from importlib import import_module
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from common.db import open_session
from common.idempotency import happens_once
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
