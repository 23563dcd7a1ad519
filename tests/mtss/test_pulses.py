"""A survey calls for somebody to ask a student how they are, again and again until it does not or support begins."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from tests.harness import Running
from tests.mtss.made_up import STUDENT, School, school_days
from tests.mtss.test_people import act, at_noon, call, handed_over
from tests.scoped import TEACHER, assigned

SCHOOL = School("north", days=school_days(80))
WORDS = "He would like to change seats; his teacher agrees."


@pytest_asyncio.fixture(loop_scope="session")
async def school(mtss: Running) -> AsyncIterator[Running]:
    """A student who is targeted by a survey of day 9, at noon of day 10."""
    mtss.clock.set(at_noon(10))
    await mtss.deliver(SCHOOL.calendar(), SCHOOL.enrols(), SCHOOL.scores(9, 2.0), *SCHOOL.closes_through(10))
    await mtss.deliver(assigned(begin_on=SCHOOL.days[0], classification="school counselor"))
    yield mtss


async def waits(mtss: Running) -> Any:
    found = (await call(mtss, "GET", "/schools/north/reviews")).json()["items"]
    return [(each["due_on"], each["late"]) for each in found if each["about"] == "follow_up"]


async def pulse(mtss: Running, wellbeing: int = 2, **more: Any) -> httpx.Response:
    body = {"wellbeing": wellbeing, "words": WORDS}
    return await call(mtss, "POST", f"/students/{STUDENT}/pulses", json=body, **more)


async def test_a_low_survey_waits_until_somebody_asks_and_again_some_days_later_until_it_is_not_low(
    school: Running,
) -> None:
    assert await waits(school) == [(str(SCHOOL.days[14]), False)]
    school.clock.set(at_noon(15))
    assert await waits(school) == [(str(SCHOOL.days[14]), True)]
    assert (await pulse(school)).status_code == 201
    assert await waits(school) == []
    school.clock.set(at_noon(21))
    assert await waits(school) == [(str(SCHOOL.days[25]), False)]
    assert (await pulse(school, 4)).status_code == 201

    series = (await call(school, "GET", f"/students/{STUDENT}/pulses")).json()["items"]
    assert [(each["asked_on"], each["wellbeing"], each["words"]) for each in series] == [
        (str(SCHOOL.days[15]), 2, WORDS),
        (str(SCHOOL.days[21]), 4, WORDS),
    ]
    async with school.admin.connect() as connection:
        sealed = (await connection.execute(sa.text("SELECT words FROM mtss_pulse"))).scalars()
        assert all(WORDS.encode() not in each for each in sealed)
    for change in ("UPDATE mtss_pulse SET wellbeing = 5", "DELETE FROM mtss_pulse"):
        with pytest.raises(DBAPIError, match="never changes"):
            async with school.admin.begin() as connection:
                await connection.execute(sa.text(change))
    school.clock.set(at_noon(40))
    assert [late for _, late in await waits(school)] == [True]
    await school.deliver(SCHOOL.scores(30, 4.0, window=1), *SCHOOL.closes(*range(10, 40)))
    assert await waits(school) == []


async def test_who_is_to_be_asked_is_handed_over_and_waits_no_longer_once_a_support_runs(school: Running) -> None:
    assert (await handed_over(school, str(STUDENT), staff_id=str(TEACHER))).status_code == 201
    found = (await call(school, "GET", "/schools/north/reviews")).json()["items"]
    assert [each["assigned"]["staff_id"] for each in found if each["about"] == "follow_up"] == [str(TEACHER)]
    support = {"kind": "mentor", "owner_id": str(TEACHER), "review_on": str(SCHOOL.days[30])}
    assert (await act(school, f"/students/{STUDENT}/supports", **support)).status_code == 201
    assert await waits(school) == []
    handed = await call(school, "GET", f"/reviews/{STUDENT}/hand-over")
    assert handed.status_code == 404  # what does not wait is nobody's to hand over

    (running,) = (await call(school, "GET", f"/students/{STUDENT}/supports")).json()["items"]
    school.clock.set(at_noon(30))
    path = f"/supports/{running['id']}"
    match = {"If-Match": (await call(school, "GET", path)).headers["ETag"]}
    ending = {"ending": "goal-met", "reason": "She has two friends by now."}
    assert (await call(school, "POST", f"{path}/end", json=ending, headers=match)).status_code == 201
    school.clock.set(at_noon(31))
    assert await waits(school) == [(str(SCHOOL.days[36]), False)]  # not since the survey, months ago


async def test_who_was_not_decided_about_since_an_upgrade_waits_all_the_same(school: Running) -> None:
    async with school.admin.begin() as connection:
        await connection.execute(sa.text("UPDATE mtss_student SET signals_since = NULL"))
    assert await waits(school) == [(str(SCHOOL.days[14]), False)]


@pytest.mark.parametrize("wellbeing", [0, 6])
async def test_a_pulse_is_a_mark_from_one_to_five(school: Running, wellbeing: int) -> None:
    refused = await pulse(school, wellbeing)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "wellbeing")


async def test_who_does_not_see_the_student_neither_asks_nor_reads(school: Running) -> None:
    for away, status in (({"schools": ["south"]}, 404), ({"role": "teacher"}, 403)):
        listed = await call(school, "GET", f"/students/{STUDENT}/pulses", **away)
        assert ((await pulse(school, **away)).status_code, listed.status_code) == (status, status)
