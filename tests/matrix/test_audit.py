"""Every route that changes something or tells what is sensitive leaves one row of the audit log, about whom it was; others leave none."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from common import db
from common.auth import PERMISSIONS
from common.embedded import Cluster
from common.scope import access_policy
from tests.harness import SERVICES
from tests.matrix import asking
from tests.matrix.asking import Headers, Matrix, Route, routes_of
from tests.matrix.districts import at_work
from tests.matrix.people import FAMILY, NORTH, SOUTH, STUDENT, holders

_WRITTEN = "SELECT method || ' ' || route AS route, students, status, reads, subject FROM audit WHERE xmin = pg_current_xact_id_if_assigned()::xid"
_NO_ROW = {
    "GET /surveys/v1/answer/{token}": "what a student answers: no time of ours is to be laid beside it",
    "POST /surveys/v1/answer/{token}": "the same",
}


@pytest_asyncio.fixture(params=SERVICES, scope="module", loop_scope="session")
async def matrix(request: pytest.FixtureRequest, cluster: Cluster) -> AsyncIterator[Matrix]:
    async with at_work(request.param, cluster) as (running, district):
        yield Matrix(running, district)


@contextmanager
def nothing_kept_but_seen(rows: list[Mapping[str, Any]]) -> Iterator[None]:
    """Into ``rows`` goes what each transaction of the application adds to the audit log; then it is rolled back."""
    execute = db._Driver.execute

    async def looked_at(self: Any, query: str, *args: Any, **options: Any) -> Any:
        if query.startswith("COMMIT"):
            await execute(self, "SET LOCAL trellis.sees = 'all'")
            rows.extend(map(dict, await self.fetch(_WRITTEN)))
            query = "ROLLBACK"
        return await execute(self, query, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db._Driver, "execute", looked_at)
        yield


async def asked(matrix: Matrix, route: Route) -> tuple[httpx.Response, list[tuple[str, set[str], int]]]:
    """What somebody who may is answered, and the rows that it leaves: route, students, status."""
    rows: list[Mapping[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "nothing_kept", lambda: nothing_kept_but_seen(rows))
        answer = await matrix.ask(route, somebody(matrix, route), matrix.district.ana)
    return answer, [(row["route"], {*map(str, row["students"])}, row["status"]) for row in rows]


def recorded(route: Route) -> bool:
    permission = route.permission
    if permission is None or route.name in _NO_ROW:
        return False
    changes = route.method != "GET" and not permission.machines_only
    return changes or not access_policy().recorded.isdisjoint(permission.reads | permission.mixes)


def somebody(matrix: Matrix, route: Route) -> Headers:
    """Who may ask this, about Ana and Ben."""
    permission, running = route.permission, matrix.running
    assert permission
    if permission.link:
        held = matrix.district.held
        return holders(running, held)[STUDENT if STUDENT in held else FAMILY]
    if permission.services:
        return running.service_headers(min(permission.services))
    role = "district" if "district" in permission.roles else min(permission.roles, default="district")
    return running.headers(role, staff=UUID(int=9), schools=[NORTH, SOUTH], permissions=sorted(PERMISSIONS))


def of_whom(matrix: Matrix, route: Route, answer: httpx.Response) -> set[str]:
    ana, ben = matrix.district.ana, matrix.district.ben
    told = {fill["student_id"] for fill in (ana, ben) if fill["student_id"] in answer.text}
    own = route.places & {name for name in ana if name.endswith("_id") and ana[name] != ben[name]} - {
        "school_id",
        "window_id",
    }
    linked = route.permission is not None and bool(route.permission.link) and STUDENT in matrix.district.held
    return told | ({ana["student_id"]} if own or linked else set())


async def test_every_change_and_every_sensitive_reading_leaves_one_row_about_whom_it_was(matrix: Matrix) -> None:
    wrong = []
    for route in filter(recorded, routes_of(matrix.running.app)):
        answer, found = await asked(matrix, route)
        others = {each for _, students, _ in found for each in students if each in answer.text}
        whom = of_whom(matrix, route, answer) | others
        expected = [(route.name, whom, answer.status_code)] if answer.is_success else []
        if found != expected:
            wrong.append((route.name, answer.status_code, found, expected))
    assert wrong == []


async def test_what_tells_nothing_sensitive_leaves_no_row(matrix: Matrix) -> None:
    others = [route for route in routes_of(matrix.running.app) if route.permission and not recorded(route)]
    assert [row for route in others for row in (await asked(matrix, route))[1]] == []
