"""Every list goes on where its page ended, and no list by the cursor of another."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import date
from operator import itemgetter
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
import sqlalchemy as sa

from common.audit.sealing import seal
from common.auth import READ_AUDIT
from common.embedded import Cluster
from common.events import StudentEnrolled
from common.outbox import Record
from common.paging import listing, next_of
from tests.harness import SERVICES, Running
from tests.matrix.asking import Matrix, Route, routes_of
from tests.matrix.district import Asked
from tests.matrix.districts import at_work, team
from tests.matrix.people import CLIENT, NORTH
from tests.mtss.test_policies import policy
from tests.scoped import assigned
from tests.sis.conftest import Sis, enrolment

_FORGED = (["x\0"], ["2026-09-01\0"], ["0\0"], ["\0", "b"], ["a", "b\0"], ["a", "b", "\0"], ["a", "b", "c", "\0"])
"""No kind of value that a list is ordered by has a NUL, a name neither."""
_ONE_ROW = {
    "GET /sis/v1/events/parked": "sis hears nobody, and its list is that of every service",
    "GET /mtss/v1/adoptions": "tests/mtss/test_policies.py walks it, with what it takes to adopt",
    "GET /mtss/v1/adoptions/{adoption_id}/changes": "so it does this one",
    "GET /mtss/v1/rehearsals": "tests/mtss/test_rehearsals.py walks it, with what it takes to rehearse",
}
"""Lists that have no second row here, and why."""


@pytest_asyncio.fixture(params=SERVICES, loop_scope="session")
async def matrix(request: pytest.FixtureRequest, cluster: Cluster) -> AsyncIterator[Matrix]:
    async with at_work(request.param, cluster) as (running, district):
        await _park_two(running)
        matrix = Matrix(running, district)
        if request.param == "mtss":
            await _say_more(matrix)
            await _tell_two_months(matrix)
        if request.param == "sis":
            await _push_strange_rows(matrix)
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


async def _push_strange_rows(matrix: Matrix) -> None:
    """Two code values that nobody understands, two rows that wait for their student, and counts of two days that are wrong."""
    made = Sis(matrix.running)
    strange = [{"languageDescriptor": f"x#{word}", "uses": []} for word in ("Elvish", "Entish")]
    await made.put_in("contacts", {"contactUniqueId": "c", "languages": strange})
    of_nobody = [enrolment(f"nobody-{number}", int(NORTH)) for number in range(2)]
    await made.bulk("studentSchoolAssociations", of_nobody)
    matrix.district.asked["GET /sis/v1/waiting"] = Asked(query=lambda _: {"all": "true"})
    attendance = {"resource": "studentSchoolAttendanceEvents", "school_id": NORTH, "count": 9}
    counted = [attendance | {"day": f"2026-09-0{day}"} for day in (1, 2)]
    source = matrix.district.ana["source"]
    headers = {"Authorization": f"Bearer {matrix.district.held[CLIENT]}"}
    told = await made.call("PUT", f"/sis/v1/sources/{source}/counts", json={"items": counted}, headers=headers)
    assert told.status_code == 200, told.text


_TOLD = sa.text("INSERT INTO mtss_equity (month, made_at, students, report) VALUES (:month, now(), 80, :report)")
_ALERT = sa.text(
    "INSERT INTO mtss_equity_alert (id, month, measure, kind, group_name, side, threshold)"
    " VALUES (:id, :month, 'entered', 'race', :group, 'more', 2)"
)


async def _tell_two_months(matrix: Matrix) -> None:
    """What equity told of two months, each with a ratio that waits; and let freshness be asked of both schools."""
    matrix.district.asked["GET /mtss/v1/freshness"] = Asked()
    async with matrix.running.admin.begin() as connection:
        for month in ("2024-08-01", "2024-09-01"):
            report = {"minimum": {"cell": 10, "students": 30}, "measures": {}}
            of = {"month": date.fromisoformat(month), "report": json.dumps(report)}
            await connection.execute(_TOLD, of)
            await connection.execute(_ALERT, of | {"id": uuid4(), "group": month})


async def _say_more(matrix: Matrix) -> None:
    """Say once more of Ana what was said once, draft two policies, and let two work at her school."""
    await matrix.running.deliver(*(assigned(uuid4(), NORTH, date(2024, 8, 1)) for _ in range(2)))
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
        f"{of_ana}/team-referrals": team(matrix.district.ana),
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
    names = {route.name for route in lists}
    assert names - cursors.keys() == names & _ONE_ROW.keys()
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
    headers = matrix.running.headers("district", permissions=[READ_AUDIT])
    if matrix.asked(route).handed:
        headers = matrix.running.headers("counselor", staff=UUID(matrix.district.ana["staff_id"]))
    answer = await matrix.ask(route, headers, matrix.district.ana, query)
    told = answer.json()
    for item in told.get("items", ()):
        item.pop("lag_seconds", None)  # it goes on while we ask
    return told


def _is_list(matrix: Matrix, route: Route) -> bool:
    described: Any = matrix.running.app.openapi()["paths"].get(route.path, {}).get(route.method.lower(), {})
    return any(each["name"] == "cursor" for each in described.get("parameters", ()))
