"""Which facts follow from which documents."""

import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import fetch
from common.events import (
    AttendanceRecorded,
    ExclusionRecorded,
    IncidentRecorded,
    SchoolCalendarSet,
    SchoolGoverned,
    StudentEnrolled,
)
from sis import facts, marks, teaching
from sis.facts import SAID, Fact, FactKey, just, say, say_at_once
from sis.policy import ATTENDANCE, CALENDAR, INCIDENTS
from sis.rules.attendance import AttendanceRow
from sis.rules.members import objects_at, value_at
from sis.rules.values import code_value, hundredths
from sis.standing import Standing

# One moment for both: rows that another transaction adds meanwhile come with a turn of the fact, which is noticed.
_ATTENDANCE_OF_DAYS = sa.text(
    f"""
    SELECT f.*, ARRAY(
        SELECT ARRAY[body ->> 'attendanceEventCategoryDescriptor', body ->> 'eventDuration'] FROM sis_document
        WHERE sis_document.school_id = wanted.school_id AND sis_document.on_date = wanted.on_date
            AND sis_document.student_id = wanted.student_id AND NOT deleted AND resource = 'studentSchoolAttendanceEvents'
    )
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:students AS uuid[]), CAST(:schools AS text[]), CAST(:days AS date[])
    ) WITH ORDINALITY AS wanted(id, student_id, school_id, on_date, place)
    LEFT JOIN LATERAL (SELECT {SAID} FROM sis_fact WHERE sis_fact.id = wanted.id OFFSET 0) AS f ON true
    ORDER BY wanted.place
    """  # noqa: S608 (a list of columns, of our own)
)
_CALENDAR_OF_DAYS = sa.text(
    """
    SELECT wanted.school_id, CAST(d.year AS int) AS year, wanted.on_date, d.events
    FROM unnest(CAST(:schools AS text[]), CAST(:days AS date[])) AS wanted(school_id, on_date)
    CROSS JOIN LATERAL (
        SELECT body #>> '{calendarReference,schoolYear}' AS year,
            ARRAY(SELECT event ->> 'calendarEventDescriptor' FROM jsonb_array_elements(body -> 'calendarEvents') AS event)
                AS events
        FROM sis_document
        WHERE sis_document.school_id = wanted.school_id AND sis_document.on_date = wanted.on_date
            AND NOT deleted AND resource = 'calendarDates'
        OFFSET 0
    ) AS d
    """
)
_ASSOCIATIONS_OF = sa.text(
    """
    SELECT id FROM sis_document
    WHERE refs && CAST(:incidents AS uuid[]) AND resource = 'studentDisciplineIncidentBehaviorAssociations'
    """
)
_PARTS_IN_INCIDENTS = sa.text(
    """
    SELECT a.id, a.student_id, a.school_id, a.deleted, i.id AS incident_id, i.on_date, a.body ->> 'behaviorDescriptor' AS behavior
    FROM sis_document AS a
    JOIN sis_document AS i ON i.id = ANY(a.refs) AND i.resource = 'disciplineIncidents'
    WHERE a.id = ANY(CAST(:ids AS uuid[]))
    """
)

Follow = Callable[[AsyncSession, datetime, Sequence[Standing]], Awaitable[None]]


async def follow_documents(session: AsyncSession, at: datetime, resource: str, changed: Sequence[Standing]) -> None:
    """Say what follows from the documents of ``resource`` that were just written."""
    if changed and resource in _FOLLOW:
        await _FOLLOW[resource](session, at, changed)


async def govern(session: AsyncSession, at: datetime, changed: Sequence[Standing]) -> None:
    """Say of which district the schools are; each is one document."""
    governed: dict[FactKey, Fact] = {}
    for document in changed:
        named = document.content.body.get("localEducationAgencyReference")
        if named and not document.content.deleted:
            state = {"school_id": document.school_id, "district_id": named["localEducationAgencyId"]}
            governed[(document.school_id,)] = Fact(state)

    async def resolve(standing: facts.Standing) -> dict[FactKey, Fact]:
        return {key: Fact(fact.state, deleted=True) for key, fact in standing.items()} | governed

    await say(session, at, SchoolGoverned, [(document.school_id,) for document in changed], resolve)


async def enrol(session: AsyncSession, at: datetime, changed: Sequence[Standing]) -> None:
    """Say the enrolments; each is one document."""
    enrolments: dict[FactKey, Fact] = {}
    for document in changed:
        body = document.content.body
        grade = body.get("entryGradeLevelDescriptor")
        state = {
            "student_id": str(document.student_id),
            "school_id": document.school_id,
            "entry_on": body["entryDate"],
            "exit_on": body.get("exitWithdrawDate"),
            "grade": code_value(grade)[:60] if grade else None,
            "primary": body.get("primarySchool", True),
        }
        key = (document.student_id, document.school_id, document.on)
        enrolments[key] = Fact(state, document.content.deleted)
    await say(session, at, StudentEnrolled, enrolments.keys(), just(enrolments))


async def resolve_attendance(session: AsyncSession, at: datetime, changed: Sequence[Standing]) -> None:
    """Say what all rows of each touched student, school and day come to."""
    touched = {(document.student_id, document.school_id, document.on) for document in changed}

    async def resolve(keys: Sequence[FactKey], ids: Sequence[UUID]) -> list[tuple[Fact, Sequence[Any]]]:
        students, schools, days = map(list, zip(*keys, strict=True))
        wanted = {"ids": ids, "students": students, "schools": schools, "days": days}
        found = await fetch(session, _ATTENDANCE_OF_DAYS, wanted)
        return [
            (_attendance(key, itertools.chain.from_iterable(_attendance_row(*row) for row in rows)), said)
            for key, (*said, rows) in zip(keys, found, strict=True)
        ]

    await say_at_once(session, at, AttendanceRecorded, touched, resolve)


def attendance_added(added: Iterable[Standing]) -> dict[FactKey, Fact]:
    """What rows come to of students, schools and days that nothing was ever said of."""
    rows: dict[FactKey, list[AttendanceRow]] = {}
    for document in added:
        body = document.content.body
        said = _attendance_row(body["attendanceEventCategoryDescriptor"], body.get("eventDuration"))
        rows.setdefault((document.student_id, document.school_id, document.on), []).extend(said)
    return {key: _attendance(key, of_day) for key, of_day in rows.items()}


def _attendance_row(category: str, duration: str | None) -> Iterator[AttendanceRow]:
    """What a row says; nothing where the district took its code out of the policy again."""
    kind = ATTENDANCE.kind(code_value(category))
    if kind is not None:
        yield AttendanceRow(kind, None if duration is None else hundredths(duration))


def _attendance(key: FactKey, rows: Iterable[AttendanceRow]) -> Fact:
    student, school, on = key
    day = ATTENDANCE.resolve(rows)
    state = {
        "student_id": str(student),
        "school_id": school,
        "on": on.isoformat(),
        "hundredths_absent": day.hundredths_absent if day else 0,
        "kind": str(day.kind) if day else "present",
    }
    return Fact(state, deleted=day is None)


async def set_calendar_days(session: AsyncSession, at: datetime, changed: Sequence[Standing]) -> None:
    """Add and take away days of school years; a day counts if any calendar of the school says so."""
    touched: dict[FactKey, set[date]] = {}
    for document in changed:
        year = value_at(document.content.body, "calendarReference.schoolYear")
        if document.on:
            touched.setdefault((document.school_id, year), set()).add(document.on)

    async def resolve(standing: facts.Standing) -> dict[FactKey, Fact]:
        pairs = [(school, on) for (school, _), days in touched.items() for on in days]
        wanted = {"schools": [school for school, _ in pairs], "days": [on for _, on in pairs]}
        counted = {
            (school, year, on)
            for school, year, on, said in await fetch(session, _CALENDAR_OF_DAYS, wanted)
            if CALENDAR.is_instructional(said)
        }
        shall = {}
        for key, days in touched.items():
            stood = standing.get(key)
            before = (
                set(map(date.fromisoformat, stood.state["instructional_days"]))
                if stood and not stood.deleted
                else set()
            )
            shall[key] = calendar_fact(key, before - days | {on for on in days if (*key, on) in counted})
        return shall

    await say(session, at, SchoolCalendarSet, touched.keys(), resolve)


def calendar_fact(key: FactKey, days: "set[date] | Sequence[date]") -> Fact:
    """The calendar of one school year; without any day it is gone."""
    school, year = key
    state = {"school_id": school, "school_year": year, "instructional_days": [on.isoformat() for on in sorted(days)]}
    return Fact(state, deleted=not days)


async def reassess_incidents(session: AsyncSession, at: datetime, changed: Sequence[Standing]) -> None:
    """Say again each student's part in incidents that are told differently now."""
    parts = await session.execute(_ASSOCIATIONS_OF, {"incidents": [document.id for document in changed]})
    await _say_parts(session, at, list(parts.scalars()))


async def record_parts(session: AsyncSession, at: datetime, changed: Sequence[Standing]) -> None:
    """Say each student's part in an incident."""
    await _say_parts(session, at, [document.id for document in changed])


async def _say_parts(session: AsyncSession, at: datetime, ids: Sequence[UUID]) -> None:
    async def resolve(_: facts.Standing) -> dict[FactKey, Fact]:
        return {
            (part.id,): Fact(
                {
                    "association_id": str(part.id),
                    "incident_id": str(part.incident_id),
                    "student_id": str(part.student_id),
                    "school_id": part.school_id,
                    "on": part.on_date.isoformat(),
                    # Left out where there is none, as it was before anybody asked: what stands need not be said again.
                    **({"harms": harms} if (harms := INCIDENTS.harms(part.behavior)) else {}),
                },
                part.deleted,
            )
            for part in await session.execute(_PARTS_IN_INCIDENTS, {"ids": ids})
        }

    await say(session, at, IncidentRecorded, [(identity,) for identity in ids], resolve)


async def record_exclusions(session: AsyncSession, at: datetime, changed: Sequence[Standing]) -> None:
    """Say what each action proposed and what was served."""
    actions = {(document.id, document.student_id): document for document in changed}

    async def resolve(standing: facts.Standing) -> dict[FactKey, Fact]:
        shall = {}
        for key, document in actions.items():
            if not document.content.deleted:
                shall[key] = Fact(_exclusion(document))
            elif key in standing:
                shall[key] = Fact(standing[key].state, deleted=True)
        return shall

    await say(session, at, ExclusionRecorded, actions.keys(), resolve)


def _exclusion(document: Standing) -> dict[str, Any]:
    body = document.content.body
    planned, served = body.get("disciplineActionLength"), body.get("actualDisciplineActionLength")
    incidents = [
        one["schoolId"]
        for one in objects_at(
            body,
            "studentDisciplineIncidentBehaviorAssociations[].studentDisciplineIncidentBehaviorAssociationReference",
        )
    ]
    codes = (code_value(one["disciplineDescriptor"]) for one in body["disciplines"])
    return {
        "action_id": str(document.id),
        "student_id": str(document.student_id),
        "school_id": document.school_id or incidents[0],
        "incident_ids": _ids(document.links, "disciplineIncidents"),
        "actions": list(dict.fromkeys(codes)),
        "on": body["disciplineDate"],
        # Where nobody said what was planned, no more than what was served was proposed: nothing was avoided.
        "hundredths_proposed": hundredths(planned if planned is not None else served or 0),
        "hundredths_served": None if served is None else hundredths(served),
        "staff_ids": _ids(document.links, "staffs"),
    }


def _ids(links: Mapping[tuple[str, str], UUID], resource: str) -> list[str]:
    return sorted(str(identity) for (name, _), identity in links.items() if name == resource)


_FOLLOW: Mapping[str, Follow] = {
    "schools": govern,
    "studentSchoolAssociations": enrol,
    "studentSchoolAttendanceEvents": resolve_attendance,
    "calendarDates": set_calendar_days,
    "disciplineIncidents": reassess_incidents,
    "studentDisciplineIncidentBehaviorAssociations": record_parts,
    "disciplineActions": record_exclusions,
    "staffEducationOrganizationAssignmentAssociations": teaching.assign,
    "staffSectionAssociations": teaching.teach,
    "studentSectionAssociations": teaching.attend,
    "sessions": teaching.set_sessions,
    "grades": marks.mark,
    "gradingPeriods": marks.set_periods,
}
