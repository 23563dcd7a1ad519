"""Marks are said as passed or not, at the end of their grading period, and never as what was given."""

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from common.events import CourseMarked
from sis.facts import fact_id
from sis.following import follow_stored
from sis.policy import MARKS
from tests.sis.conftest import Sis
from tests.sis.test_following import read_otherwise, settle
from tests.sis.test_teaching import ATTENDED, OFFERING, attended, section


def period(name: str = "Q1", end: str = "2026-10-23", **more: Any) -> dict[str, Any]:
    return {
        "gradingPeriodDescriptor": "uri://ed-fi.org/GradingPeriodDescriptor#First Nine Weeks",
        "gradingPeriodName": name,
        "schoolReference": {"schoolId": 1},
        "schoolYearTypeReference": {"schoolYear": 2027},
        "beginDate": "2026-08-24",
        "endDate": end,
        **more,
    }


def grade(letter: str | None = "F", name: str = "Q1", of: str = "A", **more: Any) -> dict[str, Any]:
    return {
        "gradeTypeDescriptor": "uri://ed-fi.org/GradeTypeDescriptor#Grading Period",
        "gradingPeriodReference": {
            "gradingPeriodDescriptor": "uri://ed-fi.org/GradingPeriodDescriptor#FIRST NINE WEEKS",
            "gradingPeriodName": name,
        },
        "studentSectionAssociationReference": {
            "studentUniqueId": "s1",
            "sectionIdentifier": of,
            **OFFERING,
            "beginDate": "2026-08-25",
        },
        **({"letterGradeEarned": letter} if letter else {}),
        **more,
    }


@pytest.fixture
async def seated(sis: Sis) -> tuple[str, str]:
    """A student and the section in which she sits, by our ids."""
    student = await sis.roster()
    (identity,) = await sis.put_in("sections", section())
    await sis.put_in(ATTENDED, attended())
    return student, identity


async def said(sis: Sis) -> list[tuple[str, bool, bool]]:
    return [(str(each.on), each.failing, each.deleted) for each in await sis.running.said(CourseMarked)]


async def test_a_mark_is_said_by_whether_the_course_is_passed_and_as_long_as_that_is_so(
    sis: Sis, seated: tuple[str, str]
):
    await sis.put_in("gradingPeriods", period())
    (identity,) = await sis.put_in("grades", grade())
    await sis.put_in("grades", grade("F", numericGradeEarned=41))
    await sis.put_in("grades", grade("C"))
    await sis.put_in("grades", grade("Incomplete"))
    await sis.put_in("grades", grade("F"))
    await sis.delete("grades", identity)
    first, *_ = await sis.running.said(CourseMarked)
    assert (str(first.mark_id), str(first.student_id), str(first.section_id)) == (identity, *seated)
    end = "2026-10-23"
    assert await said(sis) == [
        (end, True, False),
        (end, False, False),
        (end, False, True),
        (end, True, False),
        (end, True, True),
    ]
    assert "41" not in first.model_dump_json(exclude={"mark_id", "student_id", "section_id", "revision"})


async def test_conduct_is_no_mark_of_a_course(sis: Sis, seated: tuple[str, str]):
    await sis.put_in("gradingPeriods", period())
    await sis.put_in("grades", grade(gradeTypeDescriptor="uri://ed-fi.org/GradeTypeDescriptor#Conduct"))
    assert await said(sis) == []


async def test_of_the_marks_of_one_course_and_day_the_broadest_alone_is_said(sis: Sis, seated: tuple[str, str]):
    final: Any = {"gradeTypeDescriptor": "uri://ed-fi.org/GradeTypeDescriptor#Final"}
    await sis.put_in("gradingPeriods", period())
    await sis.put_in("grades", grade("F"))
    (identity,) = await sis.put_in("grades", grade("C", **final))
    await sis.put_in("grades", grade("D"))
    await sis.delete("grades", identity)
    marks = [
        (str(each.mark_id) == identity, each.failing, each.deleted) for each in await sis.running.said(CourseMarked)
    ]
    assert sorted(marks[1:3]) == [(False, True, True), (True, False, False)]
    assert (marks[0], sorted(marks[3:])) == ((False, True, False), [(False, False, False), (True, False, True)])


async def test_of_two_sections_of_a_course_the_later_one_s_mark_alone_is_said(sis: Sis, seated: tuple[str, str]):
    await sis.put_in("gradingPeriods", period())
    await sis.put_in("sections", section(sectionIdentifier="B"))
    moved = attended("2026-10-01")
    await sis.put_in(ATTENDED, moved | {"sectionReference": moved["sectionReference"] | {"sectionIdentifier": "B"}})
    later = grade("D", of="B")
    later["studentSectionAssociationReference"]["beginDate"] = "2026-10-01"
    (second,) = await sis.put_in("grades", later)
    (first,) = await sis.put_in("grades", grade("F"))
    assert [(str(each.mark_id), each.failing) for each in await sis.running.said(CourseMarked)] == [(second, False)]
    await sis.delete("grades", second)
    _, *told = await sis.running.said(CourseMarked)
    assert {(str(each.mark_id), each.failing, each.deleted) for each in told} == {
        (second, False, True),
        (first, True, False),
    }


async def test_a_mark_waits_for_its_grading_period_and_moves_and_goes_with_it(sis: Sis, seated: tuple[str, str]):
    other = {"gradingPeriodDescriptor": "#First Nine Weeks", "gradingPeriodName": "Q1", "schoolId": 1}
    await sis.put_in("grades", grade(gradingPeriodReference=other | {"schoolYear": 2026}))
    await sis.put_in("grades", grade())
    assert await said(sis) == []
    (identity,) = await sis.put_in("gradingPeriods", period())
    await sis.put_in("gradingPeriods", period("Q2"), period(end="2026-10-30"))
    await sis.delete("gradingPeriods", identity)
    assert await said(sis) == [
        ("2026-10-23", True, False),
        ("2026-10-30", True, False),
        ("2026-10-30", True, True),
    ]


async def test_marks_stored_before_an_upgrade_are_said_once(sis: Sis, seated: tuple[str, str]):
    await sis.put_in("gradingPeriods", period())
    (identity,) = await sis.put_in("grades", grade())
    async with sis.running.session() as session:
        await session.execute(
            sa.text("DELETE FROM sis_fact WHERE id = :id"), {"id": fact_id(CourseMarked, (identity,))}
        )
        await session.execute(sa.text("DELETE FROM outbox"))
        await session.execute(sa.text("INSERT INTO sis_unfollowed VALUES ('grades')"))
        await session.commit()
    await follow_stored(sis.running.runtime)
    await settle(sis)
    await follow_stored(sis.running.runtime)
    await follow_stored(sis.running.runtime)
    assert await said(sis) == [("2026-10-23", True, False)]


async def test_marks_are_gone_through_once_where_the_district_reads_them_otherwise(
    sis: Sis, seated: tuple[str, str], monkeypatch: pytest.MonkeyPatch
):
    await sis.put_in("gradingPeriods", period())
    await sis.put_in("grades", grade("D"))
    await follow_stored(sis.running.runtime)
    await read_otherwise(
        sis, monkeypatch, "MARKS", replace(MARKS, failing=["d", "f"], passing=["c"]), where="sis.marks"
    )
    await follow_stored(sis.running.runtime)
    await follow_stored(sis.running.runtime)
    assert await said(sis) == [("2026-10-23", False, False), ("2026-10-23", True, False)]
