"""Whom staff answer for beyond their sections: made, listed and ended here, and said as facts with their days."""

from datetime import UTC, datetime
from typing import Any

import pytest

from common.events import StaffRelated
from sis.facts import everything_said
from tests.sis.conftest import Sis, enrolment, school, student

TODAY = datetime(2026, 10, 5, 12, tzinfo=UTC)
PEOPLE = tuple[str, str]


@pytest.fixture
async def people(sis: Sis) -> PEOPLE:
    """A member of staff and a student of school 1 by our ids; school 2 has none."""
    sis.running.clock.set(TODAY)
    (staff,) = await sis.put_in("staffs", {"staffUniqueId": "t1"})
    await sis.put_in("schools", school(2))
    identity = await sis.roster()
    await sis.put_in("studentSchoolAssociations", enrolment())
    return staff, identity


async def relate(sis: Sis, people: PEOPLE, *, as_: str = "district", at: str = "1", **more: Any) -> Any:
    body = {"staff_id": people[0], "kind": "caseload", "student_id": people[1], **more}
    return await ask(sis, "POST", "", as_, at, json={name: value for name, value in body.items() if value is not None})


async def ask(sis: Sis, method: str, path: str, as_: str = "district", at: str = "1", **options: Any) -> Any:
    schools = () if as_ == "district" else (at,)
    headers = sis.running.headers(as_, schools=schools)
    return await sis.running.http.request(method, f"/sis/v1/relations{path}", headers=headers, **options)


async def test_a_relation_is_said_with_its_days_and_listed_with_who_made_it(sis: Sis, people: PEOPLE):
    made = await relate(sis, people, kind="counselor", begin_on="2026-11-02", end_on="2027-06-11")
    assert made.status_code == 201
    (event,) = await sis.running.said(StaffRelated)
    assert (str(event.relation_id), event.kind) == (made.json()["id"], "counselor")
    assert (str(event.staff_id), str(event.student_id)) == people
    assert (event.school_id, event.grade) == (None, None)
    assert (str(event.begin_on), str(event.end_on), event.deleted) == ("2026-11-02", "2027-06-11", False)
    (shown,) = (await ask(sis, "GET", "")).json()["items"]
    assert shown == made.json()
    assert (shown["made_by"], shown["ended_at"], shown["withdrawn"]) == ("district", None, False)


async def test_it_is_made_once_for_its_idempotency_key(sis: Sis, people: PEOPLE):
    body = {"staff_id": people[0], "kind": "caseload", "student_id": people[1]}
    headers = {**sis.running.headers("district"), "Idempotency-Key": "4c1f2c8e"}
    answers = [await sis.running.http.post("/sis/v1/relations", headers=headers, json=body) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len(await sis.running.said(StaffRelated)) == 1


async def test_a_repeat_is_not_answered_to_who_has_left_the_school_since(sis: Sis, people: PEOPLE):
    body = {"staff_id": people[0], "kind": "caseload", "student_id": people[1]}
    answers = []
    for at in ("1", "1", "2"):
        headers = {**sis.running.headers("principal", schools=[at]), "Idempotency-Key": "4c1f2c8e"}
        answers.append(await sis.running.http.post("/sis/v1/relations", headers=headers, json=body))
    assert [answer.status_code for answer in answers] == [201, 201, 404]
    assert (answers[1].json(), answers[1].headers["Idempotent-Replayed"]) == (answers[0].json(), "true")
    assert people[1] not in answers[2].text
    assert len(await sis.running.said(StaffRelated)) == 1


async def test_without_a_day_it_begins_today_and_goes_on(sis: Sis, people: PEOPLE):
    made = (await relate(sis, people, kind="trusted_adult")).json()
    assert (made["begin_on"], made["end_on"]) == ("2026-10-05", None)


async def test_a_grade_is_of_a_school(sis: Sis, people: PEOPLE):
    asked: dict[str, Any] = {"kind": "grade", "student_id": None, "school_id": "1", "grade": "Ninth grade"}
    assert (await relate(sis, people, **asked)).status_code == 201
    (event,) = await sis.running.said(StaffRelated)
    assert (event.school_id, event.grade, event.student_id) == ("1", "Ninth grade", None)


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "friend"},
        {"student_id": None},
        {"kind": "grade"},
        {"kind": "grade", "student_id": None, "school_id": "1"},
        {"kind": "grade", "student_id": None, "grade": "Ninth grade"},
        {"school_id": "1"},
        {"grade": "Ninth grade"},
        {"begin_on": "2026-10-05", "end_on": "2026-10-04"},
        {"end_on": "2026-10-04"},
        {"note": "Canary"},
    ],
)
async def test_what_names_nothing_or_ends_before_it_begins_is_refused(sis: Sis, people: PEOPLE, more: dict[str, Any]):
    refused = await relate(sis, people, **more)
    assert refused.status_code == 422
    assert "Canary" not in refused.text
    assert await sis.running.said(StaffRelated) == []


async def test_it_ends_today_once_and_is_never_forgotten(sis: Sis, people: PEOPLE):
    made = (await relate(sis, people, begin_on="2026-09-01")).json()
    ended = await ask(sis, "DELETE", f"/{made['id']}", as_="principal")
    assert (ended.status_code, ended.json()["end_on"], ended.json()["ended_by"]) == (200, "2026-10-05", "principal")
    sis.running.clock.set(datetime(2026, 10, 9, 12, tzinfo=UTC))
    assert (await ask(sis, "DELETE", f"/{made['id']}")).json() == ended.json()
    first, last = await sis.running.said(StaffRelated)
    assert (first.end_on, str(last.end_on), last.deleted) == (None, "2026-10-05", False)
    assert last.revision > first.revision
    assert (await ask(sis, "GET", "")).json()["items"] == [ended.json()]


@pytest.mark.parametrize("begin", ["2026-10-05", "2026-10-06"])
async def test_one_that_began_no_earlier_than_today_never_counted(sis: Sis, people: PEOPLE, begin: str):
    made = (await relate(sis, people, begin_on=begin)).json()
    ended = (await ask(sis, "DELETE", f"/{made['id']}")).json()
    assert (ended["withdrawn"], ended["end_on"]) == (True, None)
    assert [event.deleted for event in await sis.running.said(StaffRelated)] == [False, True]
    assert len((await ask(sis, "GET", "")).json()["items"]) == 1


async def test_one_that_would_end_later_ends_today(sis: Sis, people: PEOPLE):
    made = (await relate(sis, people, begin_on="2026-09-01", end_on="2027-06-11")).json()
    assert (await ask(sis, "DELETE", f"/{made['id']}")).json()["end_on"] == "2026-10-05"
    kept = await sis.rows("SELECT body FROM sis_revision WHERE body ? 'relation_id'")
    assert [row.body["end_on"] for row in kept] == ["2027-06-11"]


async def test_a_principal_keeps_those_of_the_own_school_and_finds_no_others(sis: Sis, people: PEOPLE):
    own = await relate(sis, people, as_="principal")
    other = await relate(sis, people, as_="principal", at="2")
    assert (own.status_code, other.status_code) == (201, 404)
    assert (await relate(sis, people, as_="principal", at="2", end_on="2026-10-04")).status_code == 404
    assert len(await sis.running.said(StaffRelated)) == 1
    grade: dict[str, Any] = {"kind": "grade", "student_id": None, "school_id": "2", "grade": "Ninth grade"}
    assert (await relate(sis, people, as_="principal", **grade)).status_code == 404
    assert (await relate(sis, people, as_="principal", at="2", **grade)).status_code == 201
    one, two = [(await ask(sis, "GET", "", "principal", at)).json()["items"] for at in ("1", "2")]
    assert ([row["kind"] for row in one], [row["kind"] for row in two]) == (["caseload"], ["grade"])
    assert (await ask(sis, "DELETE", f"/{one[0]['id']}", "principal", "2")).status_code == 404
    assert len(await sis.rows("SELECT id FROM sis_relation")) == 2


async def test_a_student_who_moves_takes_the_relation_along(sis: Sis, people: PEOPLE):
    made = (await relate(sis, people, begin_on="2026-09-01")).json()
    await sis.put_in(
        "studentSchoolAssociations",
        enrolment(exitWithdrawDate="2026-10-02"),
        enrolment(number=2, entry="2026-10-05"),
    )
    assert (await ask(sis, "GET", "", "principal", "1")).json()["items"] == []
    assert (await ask(sis, "GET", "", "principal", "2")).json()["items"] == [made]


async def test_in_summer_it_stays_with_the_last_school_and_a_no_show_is_none(sis: Sis, people: PEOPLE):
    made = (await relate(sis, people)).json()
    await sis.put_in(
        "studentSchoolAssociations",
        enrolment(exitWithdrawDate="2026-10-01"),
        enrolment(number=2, entry="2026-10-05", exitWithdrawDate="2026-10-05"),
    )
    assert (await ask(sis, "GET", "", "principal", "1")).json()["items"] == [made]
    assert (await ask(sis, "GET", "", "principal", "2")).json()["items"] == []


@pytest.mark.parametrize("place", [0, 1])
async def test_somebody_who_is_not_known_is_not_found(sis: Sis, people: PEOPLE, place: int):
    other = "0190f6a8-0000-4000-8000-000000000001"
    named = (other, people[1]) if place == 0 else (people[0], other)
    assert (await relate(sis, named)).status_code == 404
    assert (await relate(sis, (people[1], people[0]))).status_code == 404
    assert await sis.rows("SELECT id FROM sis_relation") == []


@pytest.mark.parametrize("role", ["sis", "counselor", "facilitator"])
async def test_nobody_else_keeps_relations(sis: Sis, people: PEOPLE, role: str):
    assert (await relate(sis, people, as_=role)).status_code == 403
    assert (await ask(sis, "GET", "", role)).status_code == 403


async def test_the_list_goes_page_by_page_and_by_whom_it_is_about(sis: Sis, people: PEOPLE):
    (other,) = await sis.put_in("students", student("s2"))
    ids = [(await relate(sis, (people[0], whom))).json()["id"] for whom in (people[1], other, people[1])]
    first = (await ask(sis, "GET", "?limit=2")).json()
    second = (await ask(sis, "GET", f"?limit=2&cursor={first['next']}")).json()
    assert [row["id"] for row in (*first["items"], *second["items"])] == ids
    assert second["next"] is None
    about = (await ask(sis, "GET", f"?student={people[1]}&staff={people[0]}")).json()["items"]
    assert [row["id"] for row in about] == [ids[0], ids[2]]
    assert (await ask(sis, "GET", "?cursor=x")).status_code == 422


async def test_relations_can_be_said_again_as_they_stand(sis: Sis, people: PEOPLE):
    made = (await relate(sis, people, begin_on="2026-09-01")).json()
    await ask(sis, "DELETE", f"/{made['id']}")
    async with sis.running.session() as session:
        stands = [event async for event in everything_said(session) if isinstance(event, StaffRelated)]
    assert stands == (await sis.running.said(StaffRelated))[-1:]
