"""Every list goes on where its page ended, and no list by the cursor of another."""

from collections.abc import AsyncIterator, Mapping
from operator import itemgetter
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from common.audit.sealing import seal
from common.auth import READ_AUDIT
from common.embedded import Cluster
from common.events import StudentEnrolled
from common.outbox import Record
from common.paging import listing, next_of
from tests.harness import SERVICES, Running
from tests.matrix.asking import Matrix, Route, routes_of
from tests.matrix.districts import at_work
from tests.mtss.test_policies import policy

_FORGED = (["x\0"], ["2026-09-01\0"], ["0\0"], ["\0", "b"], ["a", "b\0"], ["a", "b", "\0"], ["a", "b", "c", "\0"])
"""No kind of value that a list is ordered by has a NUL, a name neither."""
_ONE_ROW = {
    "GET /sis/v1/events/parked",  # sis hears nobody
    "GET /sis/v1/descriptors/unmapped",
    "GET /sis/v1/sources/{source}/reconciliation",
    "GET /sis/v1/waiting",
    "GET /mtss/v1/adoptions",
    "GET /mtss/v1/adoptions/{adoption_id}/changes",
    "GET /mtss/v1/equity",
    "GET /mtss/v1/equity/alerts",
    "GET /mtss/v1/freshness",  # of one school
    "GET /mtss/v1/rehearsals",
    "GET /mtss/v1/students/{student_id}/team-referrals",
    "GET /mtss/v1/supports",
    "GET /mtss/v1/team-referrals",
}
"""Lists that have no second row here; most are walked by the tests of their own."""


@pytest_asyncio.fixture(params=SERVICES, loop_scope="session")
async def matrix(request: pytest.FixtureRequest, cluster: Cluster) -> AsyncIterator[Matrix]:
    async with at_work(request.param, cluster) as (running, district):
        await _park_two(running)
        matrix = Matrix(running, district)
        if request.param == "mtss":
            await _say_more(matrix)
        await _look_twice_at_the_audit_log(running)
        yield matrix


async def _park_two(running: Running) -> None:
    """Let the service hear two events that it cannot read."""
    if StudentEnrolled.type() in running.app.state.events.hears():
        broken = [Record(uuid4(), StudentEnrolled.type(), str(uuid4()), "1", b"{}") for _ in range(2)]
        await running.app.state.inbox.process(broken)


async def _look_twice_at_the_audit_log(running: Running) -> None:
    """Each look leaves a line in it."""
    for _ in range(2):
        await running.http.get(
            f"/{running.name}/v1/audit", headers=running.headers("district", permissions=[READ_AUDIT])
        )
    await seal(running.runtime)


async def _say_more(matrix: Matrix) -> None:
    """Say once more of Ana what was said once, and draft two policies."""
    of_ana, http = f"/mtss/v1/students/{matrix.district.ana['student_id']}", matrix.running.http
    headers = matrix.running.headers("district", staff=uuid4())
    (given,) = (await http.get(f"{of_ana}/supports", headers=headers)).json()["items"]
    more = {
        f"{of_ana}/help-requests": {"words": "Seen again."},
        f"{of_ana}/pulses": {"wellbeing": 4, "words": "Seen again."},
        f"{of_ana}/supports": {
            "kind": "small-group",
            "owner_id": given["owner"]["staff_id"],
            "review_on": given["review_on"],
            "reason": "Seen by the team.",
        },
    }
    for path, body in [*more.items(), *(("/mtss/v1/policies", policy(f"ours-{number}")) for number in range(2))]:
        seen = {"If-Match": (await http.get(of_ana, headers=headers)).headers["ETag"]}
        said = await http.post(path, json=body, headers=headers | seen)
        assert said.status_code == 201, said.text


async def test_a_list_goes_on_by_its_own_cursor_and_by_no_other(matrix: Matrix) -> None:
    lists = [route for route in routes_of(matrix.running.app) if _is_list(matrix, route)]
    cursors: dict[str, str] = {}
    for route in lists:
        pages = await _walk(matrix, route)
        whole = await _ask(matrix, route, limit="500")
        assert [item for page in pages for item in page.get("items", ())] == whole.get("items", []), route.name
        assert whole.get("next") is None
        assert [route.name for page in pages if len(page.get("items", ())) > 1] == []
        if pages[0].get("next"):
            cursors[route.name] = pages[0]["next"]
    assert {route.name for route in lists} - cursors.keys() - _ONE_ROW == set()
    for route in lists:
        for cursor in [*(each for name, each in cursors.items() if name != route.name), *_forged(route)]:
            refused = await _ask(matrix, route, limit="1", cursor=cursor)
            absent = refused.get("status") == 404  # of an adoption that is not there nothing is listed
            assert absent or refused["errors"][0]["field"] == "cursor", (route.name, refused)


def _forged(route: Route) -> list[str]:
    """Cursors that say they are of this list, so that nothing but the kinds of their values refuses them."""
    with listing(route.path):
        return [str(next_of([of, of], 1, *map(itemgetter, range(len(of))))) for of in _FORGED]


async def _walk(matrix: Matrix, route: Route) -> list[Mapping[str, Any]]:
    pages = [await _ask(matrix, route, limit="1")]
    while pages[-1].get("next"):
        pages.append(await _ask(matrix, route, limit="1", cursor=pages[-1]["next"]))
    return pages


async def _ask(matrix: Matrix, route: Route, **query: str) -> Any:
    answer = await matrix.ask(
        route, matrix.running.headers("district", permissions=[READ_AUDIT]), matrix.district.ana, query
    )
    told = answer.json()
    for item in told.get("items", ()):
        item.pop("lag_seconds", None)  # it goes on while we ask
    return told


def _is_list(matrix: Matrix, route: Route) -> bool:
    described: Any = matrix.running.app.openapi()["paths"].get(route.path, {}).get(route.method.lower(), {})
    return any(each["name"] == "cursor" for each in described.get("parameters", ()))
