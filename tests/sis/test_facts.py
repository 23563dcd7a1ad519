"""What follows from documents: attendance of a day, enrolments, incidents, exclusions, and saying it all again."""

import asyncio
import random
from datetime import UTC, datetime
from uuid import UUID

from common.events import (
    AttendanceKind,
    AttendanceRecorded,
    Event,
    ExclusionRecorded,
    Harm,
    IncidentRecorded,
    SchoolCalendarSet,
    SchoolDayClosed,
    StudentEnrolled,
)
from sis.facts import everything_said
from tests.sis.conftest import Sis, absence, action, behavior, enrolment, incident, school, student

ATTENDANCE = "studentSchoolAttendanceEvents"


async def last(sis: Sis) -> AttendanceRecorded:
    return (await sis.running.said(AttendanceRecorded))[-1]


async def test_rows_of_one_day_are_resolved_before_anything_is_said(sis: Sis):
    identity = await sis.roster()
    await sis.bulk(ATTENDANCE, [absence(category="Partial", eventDuration=0.5), absence(category="Excused Absence")])
    (event,) = await sis.running.said(AttendanceRecorded)
    assert (str(event.student_id), event.school_id, str(event.on)) == (identity, "1", "2026-09-01")
    assert (event.hundredths_absent, event.kind, event.deleted) == (100, AttendanceKind.EXCUSED, False)


async def test_a_deleted_row_leaves_what_the_others_say_and_the_last_one_nothing(sis: Sis):
    await sis.roster()
    partial, excused = await sis.put_in(
        ATTENDANCE, absence(category="Partial", eventDuration=0.5), absence(category="Excused Absence")
    )
    await sis.delete(ATTENDANCE, excused)
    assert ((await last(sis)).hundredths_absent, (await last(sis)).kind) == (50, AttendanceKind.PARTIAL)
    await sis.delete(ATTENDANCE, partial)
    assert ((await last(sis)).hundredths_absent, (await last(sis)).deleted) == (0, True)
    revisions = [event.revision for event in await sis.running.said(AttendanceRecorded)]
    assert revisions == sorted(set(revisions))


async def test_a_row_that_does_not_change_the_day_says_nothing(sis: Sis):
    await sis.roster()
    await sis.put_in(ATTENDANCE, absence(), absence(category="Tardy"))
    assert len(await sis.running.said()) == 1


async def test_rows_of_two_sessions_stand_apart(sis: Sis):
    await sis.roster()
    fall = absence(sessionReference={"schoolId": 1, "schoolYear": 2027, "sessionName": "Fall"})
    first, second = await sis.put_in(ATTENDANCE, fall, absence())
    assert first != second
    await sis.delete(ATTENDANCE, first)
    assert not (await last(sis)).deleted


async def test_every_earlier_revision_of_a_fact_is_kept_with_when_we_were_told(sis: Sis):
    await sis.roster()
    for tenth in (1, 2, 3):
        await sis.put_in(ATTENDANCE, absence(eventDuration=tenth / 10))
    said = await sis.running.said(AttendanceRecorded)
    kept = await sis.rows("SELECT revision, body, known_at FROM sis_revision WHERE body ? 'kind' ORDER BY revision")
    assert [row.revision for row in kept] == [event.revision for event in said[:-1]]
    assert [row.body["hundredths_absent"] for row in kept] == [10, 20]
    assert len({row.known_at for row in kept}) == 2


async def test_two_rows_of_one_key_apply_in_order_and_the_one_between_is_kept(sis: Sis):
    await sis.roster()
    rows = [absence(eventDuration=tenth / 10) for tenth in (1, 2, 3)]
    answers = await sis.bulk(ATTENDANCE, rows)
    assert [answer["status"] for answer in answers] == [201, 200, 200]
    assert len({answer["id"] for answer in answers}) == 1
    assert [event.hundredths_absent for event in await sis.running.said(AttendanceRecorded)] == [30]
    kept = await sis.rows("SELECT body FROM sis_revision WHERE body ? 'eventDuration' ORDER BY revision")
    assert [row.body["eventDuration"] for row in kept] == [0.1, 0.2]


async def test_eight_clients_on_one_student_and_day_leave_what_all_rows_say(sis: Sis):
    await sis.roster()
    categories = ["Excused Absence", "Unexcused Absence", "Tardy", "Partial"]
    chance = random.Random(7)

    async def client(number: int) -> None:
        for _ in range(12):
            category = categories[number % 4]
            row = absence(category=category, eventDuration=chance.randrange(101) / 100)
            if chance.random() < 0.3:
                (answer,) = await sis.bulk(ATTENDANCE, [row], deletes=True)
                assert answer["status"] in (204, 404)
            else:
                assert (await sis.post(ATTENDANCE, row)).status_code in (200, 201)

    await asyncio.gather(*(client(number) for number in range(8)))
    stand = [
        row.body
        for row in await sis.rows("SELECT body FROM sis_document WHERE resource = :r AND NOT deleted", r=ATTENDANCE)
    ]
    said = await sis.running.said(AttendanceRecorded)
    newest = max(said, key=lambda event: event.revision)
    assert [event.revision for event in said] == sorted({event.revision for event in said})
    assert newest.deleted == (not stand)
    assert newest.hundredths_absent == max((round(row["eventDuration"] * 100) for row in stand), default=0)


async def test_eight_clients_with_overlapping_batches_neither_wait_for_ever_nor_lose_a_row(sis: Sis):
    await sis.put_in("schools", school())
    await sis.bulk("students", [student(f"s{number}") for number in range(40)])
    chance = random.Random(3)

    async def client(number: int) -> None:
        for turn in range(4):
            rows = [absence(name=f"s{s}", eventDuration=(number * 4 + turn) / 100) for s in range(40)]
            chance.shuffle(rows)
            answers = await sis.bulk(ATTENDANCE, rows)
            assert {answer["status"] for answer in answers} <= {200, 201}

    await asyncio.wait_for(asyncio.gather(*(client(number) for number in range(8))), 60)
    stand = await sis.rows(
        "SELECT student_id, body FROM sis_document WHERE resource = :r AND NOT deleted", r=ATTENDANCE
    )
    newest = {event.student_id: event for event in await sis.running.said(AttendanceRecorded)}
    assert {row.student_id: round(row.body["eventDuration"] * 100) for row in stand} == {
        identity: event.hundredths_absent for identity, event in newest.items()
    }
    assert len(stand) == 40


async def test_a_reference_cannot_vanish_while_it_is_taken_up(sis: Sis, no_waiting: None):
    for _ in range(10):
        identity = await sis.roster()
        pushed, deleted = await asyncio.gather(
            sis.post("studentSchoolAssociations", enrolment()), sis.delete("students", identity)
        )
        assert (pushed.status_code, deleted.status_code) in ((201, 409), (409, 204))
        await sis.running.empty()


async def test_an_enrolment_is_said_with_grade_exit_and_whether_it_is_primary(sis: Sis):
    await sis.roster()
    (identity,) = await sis.put_in(
        "studentSchoolAssociations", enrolment(entryGradeLevelDescriptor="uri://x#Fifth grade", primarySchool=False)
    )
    await sis.put_in("studentSchoolAssociations", enrolment(exitWithdrawDate="2027-01-15"))
    await sis.delete("studentSchoolAssociations", identity)
    first, left, gone = await sis.running.said(StudentEnrolled)
    assert (first.grade, first.primary, first.exit_on) == ("Fifth grade", False, None)
    assert (left.grade, left.primary, str(left.exit_on)) == (None, True, "2027-01-15")
    assert (gone.deleted, gone.fact_key) == (True, first.fact_key)


async def test_an_incident_is_said_for_each_student_and_again_when_its_day_changes(sis: Sis):
    identity = await sis.roster()
    (of,) = await sis.put_in("disciplineIncidents", incident())
    (part,) = await sis.put_in("studentDisciplineIncidentBehaviorAssociations", behavior())
    await sis.put_in("disciplineIncidents", incident(on="2026-09-04"))
    await sis.delete("studentDisciplineIncidentBehaviorAssociations", part)
    first, moved, gone = await sis.running.said(IncidentRecorded)
    assert first.fact_key == (UUID(part),)
    assert (str(first.student_id), str(first.incident_id), first.school_id) == (identity, of, "1")
    assert [str(event.on) for event in (first, moved, gone)] == ["2026-09-02", "2026-09-04", "2026-09-04"]
    assert (moved.deleted, gone.deleted) == (False, True)
    await sis.put_in("disciplineIncidents", incident(on="2026-09-05"))
    assert len(await sis.running.said(IncidentRecorded)) == 3


async def test_a_part_in_an_incident_says_who_was_hurt_and_what_was_damaged_as_the_district_reads_the_behavior(
    sis: Sis,
):
    await sis.roster()
    await sis.put_in("disciplineIncidents", incident())
    await sis.bulk(
        "studentDisciplineIncidentBehaviorAssociations",
        [behavior(), behavior(kind="battery"), behavior(kind="Vandalism")],
    )

    said = await sis.running.said(IncidentRecorded)

    assert sorted(event.harms for event in said) == [(), (Harm.DAMAGE,), (Harm.INJURY,)]


async def test_an_exclusion_is_said_with_what_was_proposed_and_served_and_whom_it_names(sis: Sis):
    identity = await sis.roster()
    (of,) = await sis.put_in("disciplineIncidents", incident())
    (teacher,) = await sis.put_in("staffs", {"staffUniqueId": "t1"})
    named = action(disciplineActionLength=3, staffs=[{"staffReference": {"staffUniqueId": "t1"}}])
    (identity_of_action,) = await sis.put_in("disciplineActions", named)
    await sis.put_in("disciplineActions", {**named, "actualDisciplineActionLength": 1.5})
    await sis.delete("disciplineActions", identity_of_action)
    proposed, served, gone = await sis.running.said(ExclusionRecorded)
    assert (str(proposed.action_id), str(proposed.student_id)) == (identity_of_action, identity)
    assert (proposed.school_id, str(proposed.on)) == ("1", "2026-09-03")
    assert (proposed.hundredths_proposed, proposed.hundredths_served) == (300, None)
    assert proposed.actions == ("Out of School Suspension",)
    assert ([str(one) for one in proposed.incident_ids], [str(one) for one in proposed.staff_ids]) == ([of], [teacher])
    assert (served.hundredths_served, gone.deleted) == (150, True)


async def test_an_action_without_a_school_is_of_the_schools_of_its_incidents(sis: Sis):
    await sis.roster()
    await sis.put_in("disciplineIncidents", incident())
    await sis.put_in("disciplineActions", action(responsibilitySchoolReference=None, actualDisciplineActionLength=2))
    (event,) = await sis.running.said(ExclusionRecorded)
    assert (event.school_id, event.hundredths_proposed, event.hundredths_served) == ("1", 200, 200)
    refused = await sis.post(
        "disciplineActions",
        action("a2", responsibilitySchoolReference=None, studentDisciplineIncidentBehaviorAssociations=[]),
    )
    assert list(refused.json()["validationErrors"]) == ["$.responsibilitySchoolReference"]


async def test_all_that_was_said_can_be_said_again_as_it_stands(sis: Sis):
    await sis.roster()
    await sis.put_in("studentSchoolAssociations", enrolment())
    await sis.calendar("school_id,date,instructional\n1,2026-09-01,true\n")
    (row,) = await sis.put_in(ATTENDANCE, absence())
    await sis.put_in(ATTENDANCE, absence(on="2026-09-02", eventDuration=0.5))
    await sis.delete(ATTENDANCE, row)
    sis.running.clock.set(datetime(2026, 9, 7, 12, tzinfo=UTC))
    await sis.close("2026-09-01")
    said: list[Event] = await sis.running.said()
    async with sis.running.session() as session:
        stands = [event async for event in everything_said(session)]
    newest = {(type(event), event.fact_key): event for event in said}
    assert {(type(event), event.fact_key): event for event in stands} == newest
    assert {type(event) for event in stands} == {
        StudentEnrolled,
        SchoolCalendarSet,
        AttendanceRecorded,
        SchoolDayClosed,
    }
    again = await sis.call("POST", "/sis/v1/events/resend", role="district")
    assert again.json() == {"events": len(newest)}


async def test_no_name_or_number_of_the_sis_stands_in_an_event(sis: Sis):
    await sis.put_in("schools", school())
    await sis.put_in("students", student("SIS-NUMBER-1", firstName="Canary", lastSurname="Featherstone"))
    await sis.put_in("studentSchoolAssociations", enrolment("SIS-NUMBER-1"))
    await sis.put_in(ATTENDANCE, absence(name="SIS-NUMBER-1"))
    for (body,) in await sis.rows("SELECT body FROM outbox"):
        assert not any(canary in body for canary in (b"SIS-NUMBER-1", b"Canary", b"Featherstone"))
