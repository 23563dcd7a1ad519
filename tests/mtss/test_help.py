"""Somebody asks for help for a student, and somebody answers in time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa

from common.events import Cause, Tier, TierDecided, UrgentHelpRequested
from common.telemetry import metrics_page
from mtss.loops import measure_help_requests
from tests.harness import Running
from tests.mtss.made_up import STUDENT, School, school_days
from tests.mtss.test_people import differing
from tests.mtss.test_policies import adopted
from tests.mtss.test_rules_help import hears
from tests.scoped import TEACHER, attends, teaches

SCHOOL = School("north", days=school_days(60))
WORDS, DONE = "He sits alone since the break.", "His counselor met him and meets him weekly."


def at_noon(day: int) -> datetime:
    on = SCHOOL.days[day]
    return datetime(on.year, on.month, on.day, 18, tzinfo=UTC)


@pytest_asyncio.fixture(loop_scope="session")
async def school(mtss: Running) -> AsyncIterator[Running]:
    """A student and a teacher of theirs, at noon of the day after day 9."""
    mtss.clock.set(at_noon(10))
    first = SCHOOL.days[0]
    await mtss.deliver(SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(10))
    await mtss.deliver(teaches(begin_on=first), attends(STUDENT, begin_on=first))
    yield mtss


async def call(mtss: Running, method: str, path: str, role: str = "counselor", **more: Any) -> httpx.Response:
    headers = mtss.headers(role, schools=more.pop("schools", ["north"]), staff=more.pop("staff", None))
    return await mtss.http.request(method, f"/mtss/v1{path}", headers=headers, **more)


async def asks(mtss: Running, student: UUID = STUDENT, **more: Any) -> httpx.Response:
    who: Any = {"role": "teacher", "staff": TEACHER, "schools": []} | more
    return await call(mtss, "POST", f"/students/{student}/help-requests", **{"json": {"words": WORDS}} | who)


async def test_a_teacher_asks_for_a_student_of_theirs_and_reads_no_words(school: Running) -> None:
    asked = await asks(school)
    assert asked.status_code == 201
    assert (asked.json()["asked_on"], asked.json()["due_on"]) == (str(SCHOOL.days[10]), str(SCHOOL.days[13]))
    assert (await asks(school, uuid4())).status_code == 404
    listing = f"/students/{STUDENT}/help-requests"
    assert (await call(school, "GET", listing, "teacher", staff=TEACHER)).status_code == 403
    (request,) = (await call(school, "GET", listing)).json()["items"]
    assert (request["words"], request["by"], request["answer"]) == (WORDS, str(TEACHER), None)
    async with school.admin.connect() as connection:
        (sealed,) = (await connection.execute(sa.text("SELECT words FROM mtss_help_request"))).one()
    assert WORDS.encode() not in sealed


async def test_a_request_waits_until_it_is_answered_with_what_was_done(school: Running) -> None:
    request = (await asks(school)).json()
    (waits,) = (await call(school, "GET", "/schools/north/reviews")).json()["items"]
    assert (waits["about"], waits["id"], waits["tier"]) == ("help_request", request["id"], None)
    assert (waits["due_on"], waits["late"]) == (request["due_on"], False)
    school.clock.set(at_noon(14))
    assert (await call(school, "GET", "/schools/north/reviews")).json()["items"][0]["late"] is True

    path = f"/help-requests/{request['id']}/answer"
    answered = await call(school, "POST", path, json={"answer": DONE})

    assert (answered.status_code, answered.json()["answer"], answered.json()["answered_on"]) == (
        201,
        DONE,
        str(SCHOOL.days[14]),
    )
    again = await call(school, "POST", path, json={"answer": DONE})
    assert (again.status_code, again.json()["type"]) == (409, "urn:trellis:problem:help-answered")
    assert (await call(school, "GET", "/schools/north/reviews")).json()["items"] == []
    for away in ({"schools": ["south"]}, {"role": "teacher"}):
        assert (await call(school, "POST", path, json={"answer": DONE}, **away)).status_code in (403, 404)


async def test_what_was_asked_and_answered_stays_as_it_was_said(school: Running) -> None:
    request = (await asks(school)).json()["id"]

    async def refused(statement: str) -> None:
        async with school.admin.begin() as connection:
            with pytest.raises(sa.exc.DBAPIError, match="never changes"):
                await connection.execute(sa.text(statement))

    await refused("UPDATE mtss_help_request SET urgent = true")
    await refused("DELETE FROM mtss_help_request")
    await call(school, "POST", f"/help-requests/{request}/answer", json={"answer": DONE})
    await refused("UPDATE mtss_help_request SET answered_on = NULL")


def _alerts() -> float:
    page = bytes(metrics_page().body).decode()
    counted = [line for line in page.splitlines() if line.startswith("trellis_alerts_total") and "urgent-help" in line]
    return sum(float(line.rpartition(" ")[2]) for line in counted)


async def test_the_same_urgent_request_sent_again_raises_no_second_alert(school: Running) -> None:
    headers = school.headers("counselor", schools=["north"]) | {"Idempotency-Key": str(uuid4())}
    path, danger, before = (
        f"/mtss/v1/students/{STUDENT}/help-requests",
        {"words": WORDS, "signs": ["danger"]},
        _alerts(),
    )
    answers = [await school.http.post(path, json=danger, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert _alerts() == before + 1


async def test_staff_name_the_signs_they_noticed_and_an_urgent_one_is_due_on_the_same_day(school: Running) -> None:
    path = f"/students/{STUDENT}/help-requests"
    teacher: Any = {"role": "teacher", "staff": TEACHER, "schools": []}
    before = _alerts()
    usual = await call(school, "POST", path, json={"words": WORDS, "signs": ["withdrawn", "alone", "alone"]}, **teacher)
    urgent = await call(school, "POST", path, json={"words": WORDS, "signs": ["alone", "danger"]}, **teacher)
    assert (usual.json()["due_on"], urgent.json()["due_on"]) == (str(SCHOOL.days[13]), str(SCHOOL.days[10]))
    assert _alerts() == before + 1
    first, second = (await call(school, "GET", "/schools/north/reviews")).json()["items"]
    assert (first["id"], first["urgent"], first["due_on"]) == (urgent.json()["id"], True, str(SCHOOL.days[10]))
    assert second["urgent"] is False
    told = (await call(school, "GET", path)).json()["items"]
    assert [(each["signs"], each["urgent"]) for each in told] == [
        (["alone", "withdrawn"], False),
        (["alone", "danger"], True),
    ]
    unknown = await call(school, "POST", path, json={"words": WORDS, "signs": ["secret"]}, **teacher)
    assert (unknown.status_code, unknown.json()["errors"][0]["field"], "secret" in unknown.text) == (
        422,
        "signs",
        False,
    )
    catalogue = (await call(school, "GET", "/supports/catalogue", **teacher)).json()["signs"]
    assert [each["name"] for each in catalogue if each["urgent"]] == ["danger"]
    async with school.admin.connect() as connection:
        sealed = (await connection.execute(sa.text("SELECT signs FROM mtss_help_request"))).scalars()
        assert all(b"alone" not in each for each in sealed)
    school.clock.set(at_noon(11))
    await measure_help_requests(school.runtime)
    assert 'trellis_help_late{service="mtss"} 1.0' in bytes(metrics_page().body).decode()


async def test_what_cannot_wait_is_said_without_whose_it_is_until_it_is_answered(school: Running) -> None:
    usual, urgent = (await asks(school)).json()["id"], await asks(school, json={"words": WORDS, "signs": ["danger"]})
    (said,) = await school.said(UrgentHelpRequested)
    assert (str(said.request_id), said.school_id, said.deleted) == (urgent.json()["id"], "north", False)
    assert str(STUDENT) not in said.model_dump_json()
    for request in (usual, urgent.json()["id"]):
        await call(school, "POST", f"/help-requests/{request}/answer", json={"answer": DONE})
    _, over = await school.said(UrgentHelpRequested)
    assert (over.request_id, over.deleted, over.revision > said.revision) == (said.request_id, True, True)


async def test_what_cannot_wait_stands_before_all_that_was_due_long_ago(school: Running) -> None:
    usual = (await asks(school)).json()["id"]
    school.clock.set(at_noon(20))
    urgent = (await asks(school, json={"words": WORDS, "signs": ["danger"]})).json()["id"]
    first = (await call(school, "GET", "/schools/north/reviews?limit=1")).json()
    rest = (await call(school, "GET", f"/schools/north/reviews?cursor={first['next']}")).json()
    assert [each["id"] for each in (*first["items"], *rest["items"])] == [urgent, usual]


async def test_a_request_for_a_student_who_has_left_waits_all_the_same(school: Running) -> None:
    request = (await asks(school)).json()["id"]
    await school.deliver(SCHOOL.enrols(exit_on=SCHOOL.days[10]))
    school.clock.set(at_noon(14))
    (waits,) = (await call(school, "GET", "/schools/north/reviews")).json()["items"]
    assert (waits["id"], waits["late"]) == (request, True)
    answered = await call(school, "POST", f"/help-requests/{request}/answer", json={"answer": DONE})
    assert answered.status_code == 201, answered.text
    assert (await call(school, "GET", "/schools/north/reviews")).json()["items"] == []


async def test_what_waits_and_what_is_late_is_measured(school: Running) -> None:
    await asks(school)
    for day, late in ((13, 0), (14, 1)):
        school.clock.set(at_noon(day))
        await measure_help_requests(school.runtime)
        page = bytes(metrics_page().body).decode()
        assert 'trellis_help_waiting{service="mtss"} 1.0' in page
        assert f'trellis_help_late{{service="mtss"}} {late}.0' in page


async def test_a_policy_that_hears_requests_decides_by_them_provably(school: Running) -> None:
    school.clock.set(at_noon(0))
    await adopted(school, hears(entry=1), 0)
    school.clock.set(at_noon(10))
    await asks(school)
    await school.deliver(*SCHOOL.closes(10))
    said = (await school.said(TierDecided))[-1]
    assert (said.tier, said.cause, said.effective_on) == (Tier.TARGETED, Cause.ENTERED, SCHOOL.days[10])
    assert await differing(school) == []
    async with school.admin.begin() as connection:
        await connection.execute(sa.text("SET LOCAL session_replication_role = replica"))  # no trigger asks
        await connection.execute(sa.text("UPDATE mtss_help_request SET asked_on = asked_on + 1"))
    assert "facts.help_requests" in await differing(school)
