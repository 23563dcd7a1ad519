"""A student is put before a team, which meets in time and says what it agreed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from tests.harness import Running
from tests.mtss.made_up import STUDENT, School, school_days
from tests.mtss.test_people import REASON, at_noon, call, handed_over, queue
from tests.scoped import TEACHER, assigned

SCHOOL = School("north", days=school_days(60))
LEARNING = UUID(int=11)
AGREED = "A mentor from Monday on; his seat changes."


@pytest_asyncio.fixture(loop_scope="session")
async def school(mtss: Running) -> AsyncIterator[Running]:
    """A student and two members of staff, at noon of day 10."""
    mtss.clock.set(at_noon(10))
    await mtss.deliver(SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(10))
    await mtss.deliver(*(assigned(who, begin_on=SCHOOL.days[0]) for who in (TEACHER, LEARNING)))
    yield mtss


async def referred(mtss: Running, members: dict[str, Any] | None = None, **other: Any) -> httpx.Response:
    team = members or {"pastoral_lead": str(TEACHER), "aln_lead": str(LEARNING)}
    body = {"team": "problem-solving", "members": team, "reason": REASON} | other
    return await call(mtss, "POST", f"/students/{STUDENT}/team-referrals", json=body)


async def met(mtss: Running, referral: Any, **other: Any) -> httpx.Response:
    body = {"met_on": SCHOOL.days[12].isoformat(), "present": ["pastoral_lead", "aln_lead"], "agreed": AGREED} | other
    return await call(mtss, "POST", f"/team-referrals/{referral['id']}/meeting", json=body)


async def test_a_referral_waits_with_the_first_role_until_the_team_has_met_and_said_what_it_agreed(
    school: Running,
) -> None:
    referral = (await referred(school)).json()
    (waits,) = await queue(school)
    assert (waits["about"], waits["id"], waits["due_on"]) == ("team_referral", referral["id"], str(SCHOOL.days[20]))
    assert (waits["assigned"]["staff_id"], waits["late"]) == (str(TEACHER), False)
    school.clock.set(at_noon(21))
    assert [each["late"] for each in await queue(school)] == [True]
    handed = {"staff_id": str(LEARNING), "reason": "She leads this one."}
    assert (await handed_over(school, referral["id"], **handed)).status_code == 201

    assert (await met(school, referral)).status_code == 201

    assert await queue(school) == []
    (told,) = (await call(school, "GET", f"/students/{STUDENT}/team-referrals")).json()["items"]
    assert (told["reason"], told["agreed"], told["met_on"]) == (REASON, AGREED, str(SCHOOL.days[12]))
    assert (told["present"], told["recorded_by"]) == (["aln_lead", "pastoral_lead"], "counselor")
    again = await met(school, referral)
    assert (again.status_code, again.json()["type"]) == (409, "urn:trellis:problem:team-has-met")
    async with school.admin.connect() as connection:
        words = (await connection.execute(sa.text("SELECT reason, agreed FROM mtss_team_referral"))).one()
        assert not any(each.encode() in sealed for each, sealed in zip((REASON, AGREED), words, strict=True))
    for change in ("UPDATE mtss_team_referral SET met_on = met_on + 1", "DELETE FROM mtss_team_referral"):
        with pytest.raises(DBAPIError, match="never changes"):
            async with school.admin.begin() as connection:
                await connection.execute(sa.text(change))


async def test_who_leads_a_team_reads_what_it_is_asked_and_records_the_meeting_whatever_their_role(
    school: Running,
) -> None:
    referral = (await referred(school)).json()
    lead: Any = {"role": "teacher", "schools": [], "staff": TEACHER}
    (theirs,) = (await call(school, "GET", "/team-referrals", **lead)).json()["items"]
    assert theirs == referral
    assert (await call(school, "GET", "/team-referrals", **lead | {"staff": LEARNING})).json()["items"] == []
    body = {"met_on": SCHOOL.days[10].isoformat(), "present": ["pastoral_lead"], "agreed": AGREED}
    meeting = f"/team-referrals/{referral['id']}/meeting"
    assert (await call(school, "POST", meeting, json=body, **lead | {"staff": LEARNING})).status_code == 404
    assert (await call(school, "POST", meeting, json=body, **lead)).status_code == 201
    assert (await call(school, "GET", "/team-referrals", **lead)).json()["items"] == []


async def test_a_student_is_before_a_team_once_at_a_time(school: Running) -> None:
    answers = await asyncio.gather(*(referred(school) for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [201, *[409] * 4]
    (referral,) = (each.json() for each in answers if each.status_code == 201)
    assert (await met(school, referral, met_on=str(SCHOOL.days[10]))).status_code == 201
    assert (await referred(school)).status_code == 201


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("team", {"team": "nobody"}),
        ("members", {"members": {"pastoral_lead": str(TEACHER)}}),
        ("members", {"members": {"pastoral_lead": str(TEACHER), "aln_lead": str(UUID(int=9))}}),
    ],
)
async def test_a_team_is_of_the_catalogue_and_each_role_is_somebody_who_works_there(
    school: Running, field: str, body: dict[str, Any]
) -> None:
    refused = await referred(school, **body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("met_on", {"met_on": str(SCHOOL.days[9])}),
        ("met_on", {"met_on": str(SCHOOL.days[11])}),
        ("present", {"met_on": str(SCHOOL.days[10]), "present": ["principal"]}),
    ],
)
async def test_a_meeting_was_after_the_referral_and_of_its_roles(
    school: Running, field: str, body: dict[str, Any]
) -> None:
    refused = await met(school, (await referred(school)).json(), **body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)


async def test_who_does_not_see_the_student_finds_no_referral(school: Running) -> None:
    referral = (await referred(school)).json()
    meeting = {"met_on": str(SCHOOL.days[10]), "present": ["aln_lead"], "agreed": AGREED}
    for away, status in (({"schools": ["south"]}, 404), ({"role": "teacher"}, 403)):
        asked = await call(school, "POST", f"/team-referrals/{referral['id']}/meeting", json=meeting, **away)
        listed = await call(school, "GET", f"/students/{STUDENT}/team-referrals", **away)
        assert (asked.status_code, listed.status_code) == (404, status)
    nobody = await call(school, "POST", f"/team-referrals/{uuid4()}/meeting", json=meeting)
    assert nobody.status_code == 404
