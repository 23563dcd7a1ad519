"""Who works where, and who teaches and attends which section: said as the SIS tells it, with the days that a session adds."""

import asyncio
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from common.events import Event, SchoolGoverned, SectionAttended, SectionTaught, StaffAssigned, StudentEnrolled
from sis.facts import everything_said
from sis.resources import WAVES
from tests.sis.conftest import EDFI, Sis, school, student
from trial.sample.district import Sample

ASSIGNED = "staffEducationOrganizationAssignmentAssociations"
TAUGHT, ATTENDED = "staffSectionAssociations", "studentSectionAssociations"
OFFERING = {"localCourseCode": "ALG-1", "schoolId": 1, "schoolYear": 2027, "sessionName": "Fall"}


def assignment(number: int = 1, classification: str = "Teacher", **more: Any) -> dict[str, Any]:
    return {
        "staffReference": {"staffUniqueId": "t1"},
        "educationOrganizationReference": {"educationOrganizationId": number},
        "staffClassificationDescriptor": f"uri://ed-fi.org/StaffClassificationDescriptor#{classification}",
        "beginDate": "2026-08-01",
        **more,
    }


def section(**more: Any) -> dict[str, Any]:
    return {"sectionIdentifier": "A", "courseOfferingReference": OFFERING, **more}


def term(begin: str = "2026-08-24", end: str = "2026-12-18", **more: Any) -> dict[str, Any]:
    year = {"schoolReference": {"schoolId": 1}, "schoolYearTypeReference": {"schoolYear": 2027}}
    return {"sessionName": "Fall", **year, "beginDate": begin, "endDate": end, **more}


def taught(**more: Any) -> dict[str, Any]:
    of = {"sectionReference": {"sectionIdentifier": "A", **OFFERING}}
    return {"staffReference": {"staffUniqueId": "t1"}, **of, **more}


def attended(begin: str = "2026-08-25", **more: Any) -> dict[str, Any]:
    of = {"sectionReference": {"sectionIdentifier": "A", **OFFERING}}
    return {"studentReference": {"studentUniqueId": "s1"}, **of, "beginDate": begin, **more}


def days(events: Sequence[Any]) -> list[tuple[str | None, str | None, bool]]:
    return [(_day(event.begin_on), _day(event.end_on), event.deleted) for event in events]


def _day(on: Any) -> str | None:
    return None if on is None else str(on)


@pytest.fixture
async def people(sis: Sis) -> tuple[str, str]:
    """A teacher and a student by our ids, and a school."""
    (teacher,) = await sis.put_in("staffs", {"staffUniqueId": "t1"})
    return teacher, await sis.roster()


async def test_an_assignment_is_said_with_its_days_corrected_and_withdrawn(sis: Sis, people: tuple[str, str]):
    (identity,) = await sis.put_in(ASSIGNED, assignment())
    await sis.put_in(ASSIGNED, assignment(classification="TEACHER", endDate="2027-06-30"))
    await sis.delete(ASSIGNED, identity)
    first, ended, gone = await sis.running.said(StaffAssigned)
    assert (str(first.staff_id), first.school_id, first.classification) == (people[0], "1", "teacher")
    assert days((first, ended, gone)) == [
        ("2026-08-01", None, False),
        ("2026-08-01", "2027-06-30", False),
        ("2026-08-01", "2027-06-30", True),
    ]
    assert first.fact_key == ended.fact_key == gone.fact_key
    assert first.revision < ended.revision < gone.revision


async def test_an_assignment_to_the_district_and_a_second_one_stand_apart(sis: Sis, people: tuple[str, str]):
    await sis.bulk(ASSIGNED, [assignment(255901), assignment(1), assignment(1, "Counselor")])
    said = await sis.running.said(StaffAssigned)
    assert sorted((event.school_id, event.classification) for event in said) == [
        ("1", "counselor"),
        ("1", "teacher"),
        ("255901", "teacher"),
    ]


async def test_the_district_of_a_school_is_said_while_the_sis_names_one(sis: Sis):
    of = {"localEducationAgencyReference": {"localEducationAgencyId": 255901}}
    (identity,) = await sis.put_in("schools", school(1, **of))
    assert (await sis.call("GET", f"{EDFI}/schools/{identity}")).json().items() >= of.items()
    await sis.put_in("schools", school(2))
    await sis.put_in("schools", school(1))
    await sis.put_in("schools", school(1, **of))
    await sis.delete("schools", identity)

    said = await sis.running.said(SchoolGoverned)
    assert [(event.school_id, event.district_id, event.deleted) for event in said] == [
        ("1", "255901", gone) for gone in (False, True, False, True)
    ]


async def test_who_teaches_and_attends_is_said_by_our_id_of_the_section(sis: Sis, people: tuple[str, str]):
    (identity,) = await sis.put_in("sections", section())
    await sis.put_in(TAUGHT, taught(beginDate="2026-08-24", endDate="2026-12-18"))
    await sis.put_in(ATTENDED, attended(endDate="2026-12-01"))
    (teaching,), (attending,) = await sis.running.said(SectionTaught), await sis.running.said(SectionAttended)
    assert (str(teaching.staff_id), str(attending.student_id)) == people
    assert {str(teaching.section_id), str(attending.section_id)} == {identity}
    assert (teaching.school_id, attending.school_id) == ("1", "1")
    assert days((teaching, attending)) == [
        ("2026-08-24", "2026-12-18", False),
        ("2026-08-25", "2026-12-01", False),
    ]


async def test_a_row_that_ends_earlier_or_is_withdrawn_is_said_again(sis: Sis, people: tuple[str, str]):
    await sis.put_in("sections", section())
    for resource, row in ((TAUGHT, taught(beginDate="2026-08-25")), (ATTENDED, attended())):
        (identity,) = await sis.put_in(resource, row)
        await sis.put_in(resource, {**row, "endDate": "2026-10-02"})
        await sis.delete(resource, identity)
        await sis.put_in(resource, row)
    expected = [
        ("2026-08-25", None, False),
        ("2026-08-25", "2026-10-02", False),
        ("2026-08-25", "2026-10-02", True),
        ("2026-08-25", None, False),
    ]
    assert days(await sis.running.said(SectionTaught)) == days(await sis.running.said(SectionAttended)) == expected


async def test_days_that_nobody_said_are_those_of_the_session(sis: Sis, people: tuple[str, str]):
    await sis.put_in("sessions", term())
    await sis.put_in("sections", section())
    await sis.put_in(TAUGHT, taught())
    await sis.put_in(ATTENDED, attended())
    assert days(await sis.running.said(SectionTaught)) == [("2026-08-24", "2026-12-18", False)]
    assert days(await sis.running.said(SectionAttended)) == [("2026-08-25", "2026-12-18", False)]


async def test_a_session_that_comes_later_moves_or_goes_takes_its_sections_along(sis: Sis, people: tuple[str, str]):
    await sis.put_in("sections", section(), section(sectionIdentifier="B"))
    await sis.put_in(TAUGHT, taught())
    await sis.put_in(ATTENDED, attended(), attended("2026-09-07", endDate="2026-09-30"))
    (identity,) = await sis.put_in("sessions", term())
    await sis.put_in("sessions", term("2026-09-01", "2027-01-22"))
    await sis.delete("sessions", identity)
    assert sorted(days(await sis.running.said(SectionTaught)), key=str) == sorted(
        [
            (None, None, False),
            (None, None, True),
            ("2026-08-24", "2026-12-18", False),
            ("2026-08-24", "2026-12-18", True),
            ("2026-09-01", "2027-01-22", False),
            ("2026-09-01", "2027-01-22", True),
            (None, None, False),
        ],
        key=str,
    )
    assert days(await newest(sis, SectionTaught)) == [(None, None, False)]
    ends = [event.end_on for event in await sis.running.said(SectionAttended) if str(event.begin_on) == "2026-08-25"]
    assert list(map(_day, ends)) == [None, "2026-12-18", "2027-01-22", None]
    assert days(await newest(sis, SectionAttended)) == [
        ("2026-08-25", None, False),
        ("2026-09-07", "2026-09-30", False),
    ]


async def test_a_session_of_another_school_year_or_name_moves_nothing(sis: Sis, people: tuple[str, str]):
    await sis.put_in("sections", section())
    await sis.put_in(TAUGHT, taught())
    await sis.put_in("sessions", term(schoolYearTypeReference={"schoolYear": 2026}), term(sessionName="Spring"))
    assert days(await sis.running.said(SectionTaught)) == [(None, None, False)]


async def test_two_rows_that_come_to_the_same_day_are_one_fact_until_both_are_gone(sis: Sis, people: tuple[str, str]):
    await sis.put_in("sessions", term())
    await sis.put_in("sections", section())
    undated, dated = await sis.put_in(TAUGHT, taught(), taught(beginDate="2026-08-24", endDate="2026-10-01"))
    assert days(await newest(sis, SectionTaught)) == [("2026-08-24", "2026-12-18", False)]
    await sis.delete(TAUGHT, undated)
    assert days(await newest(sis, SectionTaught)) == [("2026-08-24", "2026-10-01", False)]
    await sis.delete(TAUGHT, dated)
    assert await newest(sis, SectionTaught) == []


async def test_rows_that_wait_for_their_section_are_said_when_it_comes(sis: Sis, people: tuple[str, str]):
    await sis.put_in("sessions", term())
    for resource, row in ((TAUGHT, taught()), (ATTENDED, attended())):
        assert (await sis.post(resource, row)).status_code in (200, 201, 202)
    assert await sis.running.said(SectionTaught, SectionAttended) == []
    await sis.put_in("sections", section())
    assert days(await sis.running.said(SectionTaught)) == [("2026-08-24", "2026-12-18", False)]
    assert days(await sis.running.said(SectionAttended)) == [("2026-08-25", "2026-12-18", False)]


async def test_a_session_and_rows_told_at_the_same_moment_miss_each_other_never(sis: Sis, people: tuple[str, str]):
    await sis.put_in("sections", *(section(sectionIdentifier=str(number)) for number in range(12)))

    def rows(row: dict[str, Any]) -> list[dict[str, Any]]:
        of = row["sectionReference"]
        return [{**row, "sectionReference": {**of, "sectionIdentifier": str(number)}} for number in range(12)]

    async def terms() -> None:
        for week in range(1, 9):
            await sis.put_in("sessions", term(end=f"2026-12-{week:02}"))

    async def one_by_one(resource: str, row: dict[str, Any]) -> None:
        for each in rows(row):
            await sis.put_in(resource, each)

    await asyncio.wait_for(asyncio.gather(terms(), one_by_one(TAUGHT, taught()), one_by_one(ATTENDED, attended())), 60)
    assert {_day(event.end_on) for event in await newest(sis, SectionTaught)} == {"2026-12-08"}
    assert {_day(event.end_on) for event in await newest(sis, SectionAttended)} == {"2026-12-08"}
    assert len(await newest(sis, SectionTaught)) == len(await newest(sis, SectionAttended)) == 12


async def test_all_of_it_can_be_said_again_and_names_nobody(sis: Sis):
    await sis.put_in("staffs", {"staffUniqueId": "t1", "firstName": "Canary", "lastSurname": "Featherstone"})
    await sis.put_in("schools", school())
    await sis.put_in("students", student())
    await sis.put_in("sections", section())
    await sis.put_in(ASSIGNED, assignment())
    await sis.put_in(TAUGHT, taught(beginDate="2026-08-24"), taught())
    await sis.put_in(ATTENDED, attended())
    async with sis.running.session() as session:
        stands: list[Event] = [event async for event in everything_said(session)]
    said: list[Event] = await sis.running.said()
    assert sorted(map(repr, stands)) == sorted(map(repr, said))
    assert len(said) == 4
    for (body,) in await sis.rows("SELECT body FROM outbox"):
        assert not any(canary in body for canary in (b'"t1"', b'"s1"', b"Canary", b"Featherstone", b"ALG-1"))


async def test_a_made_up_district_says_of_every_student_who_teaches_them(sis: Sis, tmp_path: Path):
    Sample(60, 1, date(2025, 8, 25), date(2026, 3, 6)).write(tmp_path / "district")
    for name in (name for wave in WAVES for name in wave):
        file = tmp_path / "district" / f"{name}.jsonl"
        lines = file.read_bytes().splitlines() if file.exists() else []
        for start in range(0, len(lines), 500):
            answers = await sis.bulk(name, lines[start : start + 500])
            assert {answer["status"] for answer in answers} <= {200, 201}
    enrolled, sitting = await newest(sis, StudentEnrolled), await newest(sis, SectionAttended)
    stays = [(one.student_id, one.school_id, one.entry_on) for one in enrolled]
    assert sorted({(one.student_id, one.school_id, one.begin_on) for one in sitting}) == sorted(stays)
    led = {one.section_id for one in await newest(sis, SectionTaught)}
    assert {one.section_id for one in sitting} <= led
    assert all(one.end_on for one in (*sitting, *await newest(sis, SectionTaught)))
    assert len(await newest(sis, StaffAssigned)) == len(
        await sis.rows("SELECT id FROM sis_document WHERE resource = 'staffs'")
    )


async def newest(sis: Sis, kind: type[Any]) -> list[Any]:
    """The facts of one kind that stand after all that was said."""
    stand = {event.fact_key: event for event in await sis.running.said(kind)}
    return sorted((event for event in stand.values() if not event.deleted), key=lambda event: str(event.fact_key[-1]))
