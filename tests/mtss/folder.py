"""A folder of Ed-Fi rows as events, read plainly: what mtss hears once such a folder was pushed and its days closed."""

import csv
import json
from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

from common.events import (
    AttendanceKind,
    AttendanceRecorded,
    Event,
    IncidentRecorded,
    SchoolCalendarSet,
    SchoolDayClosed,
    StudentEnrolled,
    SubscaleScore,
    SurveyScored,
)
from tests.mtss.made_up import named

_ABSENCES = {"Excused Absence", "Unexcused Absence"}


def events_of(folder: Path) -> list[Event]:
    """Calendars, enrolments, attendance, incidents and scores; then every day through the newest row closed.

    The last day of each school is the one that its pusher names: it is submitted, with rows or without.
    """
    attendance = list(_attendance(folder))
    newest = max(event.on for event in attendance)
    calendars = list(_calendars(folder))
    due = {(each.school_id, on) for each in calendars for on in each.instructional_days if on <= newest}
    named_last = {school: max(on for of, on in due if of == school) for school in {of for of, _ in due}}
    spoken = {(event.school_id, event.on) for event in attendance} | set(named_last.items())
    closings = [
        SchoolDayClosed(school_id=school, on=on, implied=(school, on) not in spoken, revision=1)
        for school, on in sorted(due)
    ]
    return [*calendars, *_enrolments(folder), *attendance, *_incidents(folder), *_scores(folder), *closings]


def _rows(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    path = folder / f"{name}.jsonl"
    if path.exists():
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def _student(row: dict[str, Any]) -> UUID:
    return named(row["studentReference"]["studentUniqueId"])


def _school(row: dict[str, Any]) -> str:
    return str(row["schoolReference"]["schoolId"])


def _calendars(folder: Path) -> Iterator[SchoolCalendarSet]:
    days: dict[str, dict[int, list[date]]] = {}
    with (folder / "calendar.csv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["instructional"] == "true"]
    last = max(date.fromisoformat(row["date"]).year for row in rows)
    for row in rows:
        year = int(row.get("school_year") or last)
        days.setdefault(row["school_id"], {}).setdefault(year, []).append(date.fromisoformat(row["date"]))
    for school, years in days.items():
        for year, its in years.items():
            yield SchoolCalendarSet(
                school_id=school, school_year=year, instructional_days=tuple(sorted(its)), revision=1
            )


def _enrolments(folder: Path) -> Iterator[StudentEnrolled]:
    for revision, row in enumerate(_rows(folder, "studentSchoolAssociations"), start=1):
        left = row.get("exitWithdrawDate")
        yield StudentEnrolled(
            student_id=_student(row),
            school_id=_school(row),
            entry_on=date.fromisoformat(row["entryDate"]),
            exit_on=date.fromisoformat(left) if left else None,
            primary=row.get("primarySchool", True),
            revision=revision,
        )


def _attendance(folder: Path) -> Iterator[AttendanceRecorded]:
    standing = {}
    for row in _rows(folder, "studentSchoolAttendanceEvents"):
        standing[_key(row)] = row
    for row in _rows(folder, "studentSchoolAttendanceEvents.deletes"):
        standing.pop(_key(row))
    days: dict[tuple[UUID, str, date], Fraction] = {}
    for row in standing.values():
        day = _student(row), _school(row), date.fromisoformat(row["eventDate"])
        category = row["attendanceEventCategoryDescriptor"].rpartition("#")[2]
        duration = row.get("eventDuration")
        missed = Fraction(int(category in _ABSENCES)) if duration is None else Fraction(str(duration))
        days[day] = max(days.get(day, Fraction(0)), missed)
    for (student, school, on), missed in days.items():
        kind = AttendanceKind.EXCUSED if missed else AttendanceKind.TARDY
        yield AttendanceRecorded(
            student_id=student, school_id=school, on=on, hundredths_absent=round(missed * 100), kind=kind, revision=1
        )


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    session = json.dumps(row.get("sessionReference"), sort_keys=True)
    return _student(row), _school(row), session, row["eventDate"], row["attendanceEventCategoryDescriptor"]


def _incidents(folder: Path) -> Iterator[IncidentRecorded]:
    happened = {
        (_school(row), row["incidentIdentifier"]): date.fromisoformat(row["incidentDate"])
        for row in _rows(folder, "disciplineIncidents")
    }
    for row in _rows(folder, "studentDisciplineIncidentBehaviorAssociations"):
        reference = row["disciplineIncidentReference"]
        incident = str(reference["schoolId"]), reference["incidentIdentifier"]
        yield IncidentRecorded(
            association_id=named(_student(row), incident, row["behaviorDescriptor"]),
            incident_id=named(incident),
            student_id=_student(row),
            school_id=incident[0],
            on=happened[incident],
            revision=1,
        )


def _scores(folder: Path) -> Iterator[SurveyScored]:
    for row in _rows(folder, "surveyResponses"):
        answers = [row["answers"].get(f"adult_support_{item}") for item in (1, 2)]
        complete = None not in answers
        score = (
            (SubscaleScore(subscale="adult_support", mean=sum(answers) / 2, answered=2, items=2, prorated=False),)
            if complete
            else ()
        )
        yield SurveyScored(
            student_id=named(row["studentUniqueId"]),
            window_id=named(row["window"]),
            school_id="-",
            instrument="belonging-8",
            answered_on=date.fromisoformat(row["answered_on"]),
            scores=score,
            revision=1,
        )
