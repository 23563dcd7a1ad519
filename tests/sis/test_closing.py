"""Calendars, closing days by word and by the clock, and the lease that keeps the clock still."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from common.events import SchoolCalendarSet, SchoolDayClosed
from sis.closing import clock_may_move
from sis.loops import close_by_the_clock, forget_heard_events
from tests.harness import TIME_ZONE
from tests.sis.conftest import Sis, absence, enrolment, school

ATTENDANCE = "studentSchoolAttendanceEvents"
LEASE, OTHER = (f"/sis/v1/closing-clock/leases/00000000-0000-4000-8000-00000000000{n}" for n in (1, 2))
HEADER = "school_id,date,instructional\n"
WEEK = [f"2026-09-{day:02}" for day in range(7, 12)]  # Monday to Friday


def at(day: str, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), ZoneInfo(TIME_ZONE)).replace(
        hour=hour, minute=minute
    )


async def open_school(sis: Sis, *, today: str = "2026-09-11") -> None:
    await sis.roster()
    assert (await sis.calendar(HEADER + "".join(f"1,{day},true\n" for day in WEEK))).status_code == 200
    sis.running.clock.set(at(today, 12))


async def closed(sis: Sis) -> list[tuple[str, bool]]:
    return [(event.on.isoformat(), event.implied) for event in await sis.running.said(SchoolDayClosed)]


# calendars


async def test_a_calendar_file_sets_whole_school_years_and_the_same_again_says_nothing(sis: Sis):
    await sis.put_in("schools", school(1), school(2))
    body = HEADER + "1,2026-09-07,true\n1,2026-09-08,false\n1,2027-05-28,true\n2,2026-09-07,true\n"
    for _ in range(2):
        assert (await sis.calendar(body)).json() == {"schools": 2, "days": 3, "rejected": [], "left": []}
    first, second = await sis.running.said(SchoolCalendarSet)
    assert (first.fact_key, first.instructional_days) == (("1", 2027), (date(2026, 9, 7), date(2027, 5, 28)))
    assert second.fact_key == ("2", 2026)
    await sis.call("POST", "/sis/v1/calendars?replace=true", content=HEADER + "1,2027-05-28,true\n")
    third = (await sis.running.said(SchoolCalendarSet))[-1]
    assert (third.instructional_days, third.revision > first.revision) == ((date(2027, 5, 28),), True)


async def test_a_truncated_file_takes_no_school_year_away_unasked(sis: Sis):
    await sis.put_in("schools", school(1), school(2))
    await sis.calendar(HEADER + "".join(f"{number},{day},true\n" for number in (1, 2) for day in WEEK))

    answer = (
        await sis.calendar(HEADER + f"1,{WEEK[0]},true\n1,{WEEK[1]},true\n2,2026-09-14,true\n2,{WEEK[0]},true\n")
    ).json()

    rule = "must leave a school year 80 percent of its instructional days, or come with replace=true"
    assert answer == {
        "schools": 0,
        "days": 0,
        "rejected": [{"line": line, "column": "date", "rule": rule} for line in (2, 4)],
        "left": [{"school_id": number, "school_year": 2026, "lines": 1} for number in ("1", "2")],
    }
    assert len(await sis.running.said(SchoolCalendarSet)) == 2
    text = (await sis.call("GET", "/sis/v1/sources/sis/rejected.csv?resource=calendar.csv")).text
    assert text.count(rule) == 2, "district IT reads of it too"


async def test_lines_that_cannot_be_used_are_listed_and_the_others_kept(sis: Sis):
    await sis.put_in("schools", school(1), school(2))
    await sis.calendar(HEADER + "1,2026-09-08,true\n1,2026-09-09,true\n")
    lines = "1,2026-09-31,true\n9,2026-09-08,true\n1,2026-09-09,true\n1,2026-09-10,true\n2,2026-09-09,true\n"
    answer = (await sis.calendar(HEADER + lines)).json()
    assert answer == {
        "schools": 1,
        "days": 1,
        "rejected": [
            {"line": 2, "column": "date", "rule": "must be a date that exists"},
            {"line": 3, "column": "school_id", "rule": "must be a school known here"},
        ],
        "left": [{"school_id": "1", "school_year": 2026, "lines": 2}],
    }
    first, second = await sis.running.said(SchoolCalendarSet)
    assert first.instructional_days == (date(2026, 9, 8), date(2026, 9, 9))
    assert second.fact_key == ("2", 2026)


async def test_another_header_is_a_problem_that_names_the_line(sis: Sis):
    refused = await sis.calendar("school,day\n1,2026-09-08\n")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "line 1")
    assert (await sis.calendar(b"\xef\xbb\xbf" + HEADER.encode())).json() == {
        "schools": 0,
        "days": 0,
        "rejected": [],
        "left": [],
    }


def calendar_date(on: str, *events: str, code: str = "A") -> dict[str, Any]:
    return {
        "calendarReference": {"calendarCode": code, "schoolId": 1, "schoolYear": 2027},
        "date": on,
        "calendarEvents": [{"calendarEventDescriptor": f"x#{event}"} for event in events],
    }


async def test_calendar_dates_add_and_take_away_days_of_the_school_year(sis: Sis):
    await sis.put_in("schools", school())
    await sis.calendar("school_id,date,instructional,school_year\n1,2026-09-07,true,2027\n")
    days = [calendar_date("2026-09-08", "Instructional day"), calendar_date("2026-09-09", "Holiday")]
    await sis.bulk("calendarDates", [*days, calendar_date("2026-09-07", "Holiday")])
    (other,) = await sis.put_in("calendarDates", calendar_date("2026-09-09", "Make-up day", code="B"))
    await sis.delete("calendarDates", other)
    said = [event.instructional_days for event in await sis.running.said(SchoolCalendarSet)]
    eighth, ninth = date(2026, 9, 8), date(2026, 9, 9)
    assert said[1:] == [(eighth,), (eighth, ninth), (eighth,)]
    await sis.put_in("calendarDates", calendar_date("2026-09-08", "Weather day"))
    gone = (await sis.running.said(SchoolCalendarSet))[-1]
    assert (gone.deleted, gone.instructional_days) == (True, ())
    refused = await sis.post("calendarDates", calendar_date("2026-09-08", "Snowball fight"))
    assert list(refused.json()["validationErrors"]) == ["$.calendarEvents[0].calendarEventDescriptor"]


async def test_many_calendar_dates_at_once_come_to_one_calendar(sis: Sis):
    await sis.put_in("schools", school())
    days = [calendar_date(f"2026-09-{day:02}", "Instructional day") for day in range(1, 31)]
    await asyncio.gather(*(sis.bulk("calendarDates", days[start::5]) for start in range(5)))
    newest = (await sis.running.said(SchoolCalendarSet))[-1]
    assert len(newest.instructional_days) == 30


# closing by word


async def test_closing_a_day_closes_all_before_it_and_marks_those_without_rows(sis: Sis):
    await open_school(sis)
    await sis.put_in(ATTENDANCE, absence("2026-09-08"))
    answer = await sis.close("2026-09-10")
    assert answer.json() == {"school_id": "1", "closed_through": "2026-09-10", "closed": 4, "implied": 2}
    assert await closed(sis) == list(zip(WEEK[:4], (True, False, True, False), strict=True))
    again = await sis.close("2026-09-08")
    assert again.json() == {"school_id": "1", "closed_through": "2026-09-10", "closed": 0, "implied": 0}
    assert len(await closed(sis)) == 4


async def test_a_day_off_stands_for_the_last_instructional_day_before_it(sis: Sis):
    await open_school(sis, today="2026-09-13")
    answer = await sis.close("2026-09-12")
    assert answer.json() == {"school_id": "1", "closed_through": "2026-09-11", "closed": 5, "implied": 4}


async def test_a_day_after_today_is_refused_by_the_districts_own_date(sis: Sis):
    await open_school(sis)
    sis.running.clock.set(datetime(2026, 9, 11, 3, tzinfo=UTC))  # the 10th in the district
    refused = await sis.close("2026-09-11")
    assert (refused.status_code, refused.json()["errors"][0]["rule"]) == (422, "must not be after today")
    assert (await sis.close("2026-09-10")).status_code == 200


async def test_a_school_without_calendar_or_unknown_closes_nothing(sis: Sis):
    await sis.put_in("schools", school())
    missing = await sis.close("2026-09-07")
    assert (missing.status_code, missing.json()["type"]) == (409, "urn:trellis:problem:no-instructional-day")
    assert (await sis.close("2026-09-07", 9)).status_code == 404
    assert (await sis.close("not-a-day")).status_code == 422


async def test_who_may_close(sis: Sis):
    await open_school(sis)
    for role, status in (("district", 200), ("sis", 200), ("principal", 403)):
        assert (await sis.call("POST", "/sis/v1/schools/1/days/2026-09-07/close", role=role)).status_code == status


async def test_closing_at_the_same_time_says_each_day_once(sis: Sis):
    await open_school(sis)
    answers = await asyncio.gather(*(sis.close(day) for day in WEEK for _ in range(2)))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(day for day, _ in await closed(sis)) == WEEK
    assert sum(answer.json()["closed"] for answer in answers) == 5


# closing by the clock


@pytest.mark.parametrize(
    ("rows", "now", "through"),
    [
        (["2026-09-08"], at("2026-09-08", 17, 59), None),
        (["2026-09-08"], at("2026-09-08", 18), "2026-09-08"),
        (["2026-09-08"], at("2026-09-09", 0), "2026-09-08"),
        (["2026-09-07", "2026-09-09"], at("2026-09-09", 12), "2026-09-07"),
        (["2026-09-30"], at("2026-09-08", 23), None),
        (["2026-09-07", "2026-09-30"], at("2026-09-08", 23), "2026-09-07"),
        (["2026-09-12"], at("2026-09-14", 9), "2026-09-11"),
        ([], at("2026-09-14", 9), None),
    ],
)
async def test_the_clock_closes_through_the_newest_past_day_with_rows(sis: Sis, rows, now, through):
    await open_school(sis)
    await sis.bulk(ATTENDANCE, [absence(day) for day in rows])
    sis.running.clock.set(now)
    for _ in range(2):
        await close_by_the_clock(sis.running.runtime)
    days = await closed(sis)
    assert [day for day, _ in days] == [day for day in WEEK if through and day <= through]
    assert all(implied == (day not in rows) for day, implied in days)


async def test_rows_that_were_taken_back_close_nothing(sis: Sis):
    await open_school(sis)
    (row,) = await sis.put_in(ATTENDANCE, absence("2026-09-08"))
    await sis.delete(ATTENDANCE, row)
    sis.running.clock.set(at("2026-09-11", 20))
    await close_by_the_clock(sis.running.runtime)
    assert await closed(sis) == []


async def test_a_school_whose_calendar_has_not_come_does_not_hold_up_the_others(sis: Sis):
    await open_school(sis)
    await sis.put_in("schools", school(0))
    await sis.put_in("studentSchoolAssociations", enrolment(number=0))
    await sis.bulk(ATTENDANCE, [absence("2026-09-08", number=0), absence("2026-09-08")])
    sis.running.clock.set(at("2026-09-11", 20))
    await close_by_the_clock(sis.running.runtime)
    assert [day for day, _ in await closed(sis)] == WEEK[:2]


async def test_while_the_lease_is_held_the_clock_closes_nothing(sis: Sis):
    await open_school(sis)
    await sis.put_in(ATTENDANCE, absence("2026-09-08"))
    sis.running.clock.set(at("2026-09-11", 20))
    held = await sis.call("PUT", LEASE)
    left = datetime.fromisoformat(held.json()["until"]) - datetime.now(UTC)
    assert timedelta(seconds=110) < left <= timedelta(seconds=121)
    await close_by_the_clock(sis.running.runtime)
    assert await closed(sis) == []
    assert (await sis.close("2026-09-07")).json()["closed"] == 1
    assert (await sis.call("DELETE", LEASE)).status_code == 204
    await close_by_the_clock(sis.running.runtime)
    assert [day for day, _ in await closed(sis)] == WEEK[:2]


async def test_a_lease_is_let_go_by_its_holder_only_and_may_be_renewed(sis: Sis):
    await open_school(sis)
    await sis.put_in(ATTENDANCE, absence("2026-09-08"))
    sis.running.clock.set(at("2026-09-11", 20))
    for lease in (LEASE, OTHER, LEASE):
        held = await sis.call("PUT", lease)
        assert (held.status_code, held.json()["id"]) == (200, lease.rpartition("/")[2])
    for _ in range(2):
        assert (await sis.call("DELETE", OTHER)).status_code == 204
    await close_by_the_clock(sis.running.runtime)
    assert await closed(sis) == []
    await sis.call("DELETE", LEASE)
    await close_by_the_clock(sis.running.runtime)
    assert len(await closed(sis)) == 2
    assert (await sis.call("PUT", "/sis/v1/closing-clock/leases/mine")).status_code == 422


async def test_a_lease_begins_only_once_the_clock_has_come_to_rest(sis: Sis):
    async with sis.running.runtime.transaction() as session:
        assert await clock_may_move(session)
        begins = asyncio.create_task(sis.call("PUT", LEASE))
        assert not (await asyncio.wait([begins], timeout=0.3))[0]
    assert (await begins).status_code == 200
    async with sis.running.runtime.transaction() as session:
        assert not await clock_may_move(session)


async def test_a_lease_that_ran_out_by_the_databases_clock_holds_nothing(sis: Sis):
    await open_school(sis)
    await sis.put_in(ATTENDANCE, absence("2026-09-08"))
    sis.running.clock.set(at("2026-09-11", 20))
    await sis.call("PUT", LEASE)
    async with sis.running.session() as session:
        await session.execute(sa.text("UPDATE sis_lease SET until = clock_timestamp() - interval '1 second'"))
    await close_by_the_clock(sis.running.runtime)
    assert len(await closed(sis)) == 2
    assert await sis.rows("SELECT 1 FROM sis_lease") == []
    assert (await sis.call("PUT", LEASE, role="district")).status_code == 403


async def test_ids_of_events_are_forgotten_in_time(sis: Sis):
    async with sis.running.session() as session:
        for age in (59, 61):
            await session.execute(
                sa.text(
                    "INSERT INTO sis_heard_event VALUES ('s', :id, clock_timestamp() - make_interval(days => :age))"
                ),
                {"id": str(age), "age": age},
            )
    await forget_heard_events(sis.running.runtime)
    assert [row.id for row in await sis.rows("SELECT id FROM sis_heard_event")] == ["59"]
