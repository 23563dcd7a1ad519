"""Staff and sections that were stored before anything followed from them: after an upgrade it is said by itself, once."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from common.events import (
    AttendanceRecorded,
    Harm,
    IncidentRecorded,
    SchoolCalendarSet,
    SectionAttended,
    SectionTaught,
    StaffAssigned,
)
from sis import following
from sis.facts import fact_id
from sis.following import follow_stored
from sis.policy import ATTENDANCE, CALENDAR, INCIDENTS, UNDERSTOOD
from tests.sis.conftest import Sis, absence, behavior, incident
from tests.sis.test_closing import calendar_date
from tests.sis.test_teaching import ASSIGNED, ATTENDED, TAUGHT, assignment, attended, days, section, taught, term

ATTENDANCE_EVENTS = "studentSchoolAttendanceEvents"
SAID = (StaffAssigned, SectionTaught, SectionAttended)


async def stored_before(sis: Sis) -> list[Any]:
    """A district as it is after the upgrade: its rows are there, nothing of staff and sections was said. What shall be."""
    await sis.put_in("staffs", {"staffUniqueId": "t1"}, {"staffUniqueId": "t2"})
    await sis.roster()
    await sis.put_in("sessions", term())
    await sis.put_in("sections", section())
    await sis.put_in(ASSIGNED, assignment(), assignment(1, "Counselor"))
    (gone,) = await sis.put_in(ASSIGNED, assignment(255901))
    await sis.delete(ASSIGNED, gone)
    await sis.put_in(TAUGHT, taught())
    await sis.put_in(ATTENDED, attended())
    shall = [event for event in await said(sis) if event.school_id == "1"]
    await forget(sis, "sis_fact WHERE type = ANY(CAST(:types AS text[]))", types=[kind.type() for kind in SAID])
    await forget(sis, "outbox")
    await forget(sis, "sis_sign_in")
    async with sis.running.session() as session:
        resources = ["staffs", ASSIGNED, TAUGHT, ATTENDED]
        await session.execute(
            sa.text("INSERT INTO sis_unfollowed SELECT unnest(CAST(:all AS text[]))"), {"all": resources}
        )
        await session.commit()
    return shall


async def forget(sis: Sis, what: str, **values: Any) -> None:
    async with sis.running.session() as session:
        await session.execute(sa.text(f"DELETE FROM {what}"), values)
        await session.commit()


async def said(sis: Sis) -> list[Any]:
    return [event for kind in SAID for event in await sis.running.said(kind)]


def known(events: list[Any]) -> set[tuple[Any, ...]]:
    return {(type(event), event.fact_key, *days([event])) for event in events}


async def test_after_an_upgrade_stored_staff_and_sections_are_said_once_as_they_stand(sis: Sis):
    shall = await stored_before(sis)
    await follow_stored(sis.running.runtime)
    once = await said(sis)
    assert len(once) == len(shall) == 4
    assert known(once) == known(shall)
    assert await sis.rows("SELECT count(*) FROM sis_sign_in") == [(2,)]
    await follow_stored(sis.running.runtime)
    assert await said(sis) == once
    assert await sis.rows("SELECT * FROM sis_unfollowed") == []


async def test_what_was_said_before_a_kill_is_not_said_again_by_who_goes_on(sis: Sis):
    await stored_before(sis)
    await follow_stored(sis.running.runtime)
    once = await said(sis)
    lost = next(event for event in once if isinstance(event, SectionAttended))
    # As a kill after some of the pages leaves it: their facts stand, and the resources are still to be gone through.
    key = (lost.student_id, lost.section_id, str(lost.begin_on))
    await forget(sis, "sis_fact WHERE id = :id", id=fact_id(SectionAttended, key))
    async with sis.running.session() as session:
        await session.execute(
            sa.text("INSERT INTO sis_unfollowed VALUES (:one), (:other)"), {"one": ASSIGNED, "other": ATTENDED}
        )
        await session.commit()
    await follow_stored(sis.running.runtime)
    assert [type(event) for event in (await said(sis))[len(once) :]] == [SectionAttended]
    assert known((await said(sis))[-1:]) == known([lost])


async def read_otherwise(
    sis: Sis, monkeypatch: pytest.MonkeyPatch, name: str, policy: Any, where: str = "sis.consequences"
) -> None:
    """Let the service start with another policy, and the processes of before be gone."""
    for module in (where, "sis.following"):
        monkeypatch.setattr(f"{module}.{name}", policy)
    following._started.pop(sis.running.runtime)
    await follow_stored(sis.running.runtime)
    await settle(sis)


async def settle(sis: Sis) -> None:
    async with sis.running.session() as session:
        await session.execute(sa.text("UPDATE sis_read SET since = since - interval '10 minutes'"))
        await session.commit()


async def test_days_of_a_code_that_the_district_reads_otherwise_are_said_again_and_no_others(
    sis: Sis, monkeypatch: pytest.MonkeyPatch
):
    await sis.roster()
    await sis.bulk(ATTENDANCE_EVENTS, [absence("2026-09-01", "Tardy"), absence("2026-09-02")])
    await follow_stored(sis.running.runtime)
    before = await sis.running.said(AttendanceRecorded)
    await read_otherwise(
        sis,
        monkeypatch,
        "ATTENDANCE",
        replace(ATTENDANCE, categories={**ATTENDANCE.categories, "tardy": "early_departure"}),
    )
    await follow_stored(sis.running.runtime)
    await follow_stored(sis.running.runtime)
    after = await sis.running.said(AttendanceRecorded)
    assert len(before) == 2
    assert [(str(each.on), each.kind) for each in after[2:]] == [("2026-09-01", "early_departure")]


async def test_while_processes_read_otherwise_beside_each_other_the_one_that_was_started_last_is_right(
    sis: Sis, monkeypatch: pytest.MonkeyPatch
):
    runtime = sis.running.runtime
    await sis.roster()
    await sis.bulk(ATTENDANCE_EVENTS, [absence("2026-09-01", "Tardy")])
    await follow_stored(runtime)
    started = following._started[runtime] - timedelta(hours=1)
    otherwise = replace(ATTENDANCE, categories={**ATTENDANCE.categories, "tardy": "early_departure"})
    await read_otherwise(sis, monkeypatch, "ATTENDANCE", otherwise)

    with monkeypatch.context() as before:
        before.setattr("sis.following.ATTENDANCE", ATTENDANCE)
        before.setattr("sis.consequences.ATTENDANCE", ATTENDANCE)
        before.setitem(following._started, runtime, started)
        await follow_stored(runtime)
        await sis.bulk(ATTENDANCE_EVENTS, [absence("2026-09-02", "Tardy")])
    await follow_stored(runtime)
    kinds = [(str(each.on), each.kind) for each in await sis.running.said(AttendanceRecorded)]
    assert kinds == [
        ("2026-09-01", "tardy"),
        ("2026-09-02", "tardy"),
        ("2026-09-01", "early_departure"),
        ("2026-09-02", "early_departure"),
    ]


async def test_what_is_read_otherwise_is_gone_through_when_processes_of_before_are_surely_gone(
    sis: Sis, monkeypatch: pytest.MonkeyPatch
):
    await sis.roster()
    await sis.bulk(ATTENDANCE_EVENTS, [absence("2026-09-01", "Tardy")])
    await follow_stored(sis.running.runtime)
    monkeypatch.setattr("sis.following.ATTENDANCE", replace(ATTENDANCE, categories={}))
    monkeypatch.setattr("sis.consequences.ATTENDANCE", replace(ATTENDANCE, categories={}))
    following._started.pop(sis.running.runtime)
    for _ in range(2):
        await follow_stored(sis.running.runtime)
        assert len(await sis.running.said(AttendanceRecorded)) == 1
    await settle(sis)
    await follow_stored(sis.running.runtime)
    assert len(await sis.running.said(AttendanceRecorded)) == 2


async def test_a_code_that_means_nothing_any_more_says_nothing_and_is_listed(sis: Sis, monkeypatch: pytest.MonkeyPatch):
    await sis.roster()
    await sis.bulk(
        ATTENDANCE_EVENTS, [absence("2026-09-01", "Tardy"), absence("2026-09-02", "Tardy"), absence("2026-09-02")]
    )
    await follow_stored(sis.running.runtime)
    before = len(await sis.running.said(AttendanceRecorded))
    categories = {code: kind for code, kind in ATTENDANCE.categories.items() if code != "tardy"}
    await read_otherwise(sis, monkeypatch, "ATTENDANCE", replace(ATTENDANCE, categories=categories))
    monkeypatch.setitem(UNDERSTOOD, "attendanceEventCategoryDescriptors", categories)
    await follow_stored(sis.running.runtime)
    assert [(str(each.on), each.deleted) for each in (await sis.running.said(AttendanceRecorded))[before:]] == [
        ("2026-09-01", True)
    ]
    await sis.put_in(ATTENDANCE_EVENTS, absence("2026-09-01", "Excused Absence"))
    unmapped = (await sis.call("GET", "/sis/v1/descriptors/unmapped")).json()["items"]
    assert [(each["descriptor"], each["code_value"]) for each in unmapped] == [
        ("attendanceEventCategoryDescriptors", "Tardy")
    ]


async def test_what_incidents_led_to_is_said_again_where_the_district_reads_another_behavior_as_an_injury(
    sis: Sis, monkeypatch: pytest.MonkeyPatch
):
    await sis.roster()
    await sis.put_in("disciplineIncidents", incident())
    await sis.bulk("studentDisciplineIncidentBehaviorAssociations", [behavior(), behavior(kind="Theft")])
    await follow_stored(sis.running.runtime)
    await read_otherwise(sis, monkeypatch, "INCIDENTS", replace(INCIDENTS, injury=["fighting"]))
    await follow_stored(sis.running.runtime)
    assert [event.harms for event in await sis.running.said(IncidentRecorded)] == [(), (), (Harm.INJURY,)]


async def test_days_that_count_by_another_reading_of_the_calendar_are_said_again(
    sis: Sis, monkeypatch: pytest.MonkeyPatch
):
    await sis.roster()
    await sis.bulk(
        "calendarDates",
        [calendar_date("2026-09-08", "Weather day"), calendar_date("2026-09-09", "Instructional day")],
    )
    await follow_stored(sis.running.runtime)
    await read_otherwise(
        sis, monkeypatch, "CALENDAR", replace(CALENDAR, instructional=[*CALENDAR.instructional, "weather day"])
    )
    await follow_stored(sis.running.runtime)
    await follow_stored(sis.running.runtime)
    said = [list(map(str, each.instructional_days)) for each in await sis.running.said(SchoolCalendarSet)]
    assert said == [["2026-09-09"], ["2026-09-08", "2026-09-09"]]


async def test_a_calendar_file_stands_as_long_as_calendars_are_read_as_before(sis: Sis):
    await sis.roster()
    await sis.put_in("calendarDates", calendar_date("2026-09-09", "Instructional day"))
    body = "school_id,date,instructional,school_year\n1,2026-09-10,true,2027\n"
    assert (await sis.call("POST", "/sis/v1/calendars?replace=true", content=body)).status_code == 200
    before = await sis.running.said(SchoolCalendarSet)
    assert len(before) == 2
    await follow_stored(sis.running.runtime)
    assert await sis.running.said(SchoolCalendarSet) == before
