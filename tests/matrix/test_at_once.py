"""Of fifty who change at once what they saw, one does: on every route that asks for the version that was seen."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import httpx
import pytest

from common.embedded import Cluster
from common.limits import Limits
from tests.harness import SERVICES
from tests.matrix.asking import Matrix, Route, routes_of
from tests.matrix.districts import at_work
from tests.matrix.test_audit import somebody

_AT_ONCE = 50
_WORDS = ("reason", "evidence", "place", "name")
_ELSEWHERE = {
    "POST /notifications/v1/sending": "tests/notifications/test_sending.py",
    "PUT /sis/v1/students/{student_id}/contacts/{contact_id}/restriction": "tests/sis/test_contacts.py",
    "PUT /surveys/v1/windows/{window_id}/consents/{student_id}": "tests/surveys/test_routes.py",
}
"""Routes that are answered alike about every student, or of none, by the file of their own test with fifty."""


@pytest.mark.parametrize("service", SERVICES)
async def test_of_fifty_who_change_at_once_what_they_saw_one_does(service: str, cluster: Cluster) -> None:
    wrong: list[object] = []
    left: Collection[str] | None = None
    while left is None or left:
        async with at_work(service, cluster) as (running, district):
            asking = [route for route in routes_of(running.app) if route.names_what_was_seen]
            routes = [each for each in asking if each.name not in _ELSEWHERE and (left is None or each.name in left)]
            left = []
            for route in routes:
                answers = await _fifty(Matrix(running, district), route)
                versions = {each.headers["ETag"] for each in answers if each.is_success}
                others = {each.status_code for each in answers if not each.is_success}
                if not versions and route != routes[0]:
                    left.append(route.name)  # what the others did stands in its way: once more in a new district
                elif len(versions) != 1 or others - {409, 412}:
                    wrong.append((route.name, len(versions), others))
    assert wrong == []


def _said_by(who: int, request: dict[str, Any]) -> dict[str, Any]:
    return request | {
        "json": {name: f"{value} {who}" if name in _WORDS else value for name, value in request["json"].items()}
    }


async def _fifty(matrix: Matrix, route: Route) -> Sequence[httpx.Response]:
    """What fifty are told who ask over the same version of Ana, or else of Ben, each in words of their own."""
    running, answers = matrix.running, list[httpx.Response]()
    for fill in (matrix.district.ana, matrix.district.ben):
        request = await matrix.request(route, somebody(matrix, route), fill)
        running.app.state.limits = Limits()
        answers = await asyncio.gather(*(running.http.request(**_said_by(who, request)) for who in range(_AT_ONCE)))
        if any(each.is_success for each in answers):
            break
    return answers
