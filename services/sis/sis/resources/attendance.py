"""Attendance of the day and of the section."""

from sis.policy import ATTENDANCE
from sis.resources.kinds import Resource
from sis.resources.parts import (
    SCHOOL,
    SECTION,
    SECTION_KEY,
    STUDENT,
    TO_SCHOOL,
    TO_SECTION,
    TO_STUDENT,
    needed,
    paths,
)
from sis.rules.members import Member
from sis.rules.values import day, days, known_code, school_id, text, year

_CATEGORY = needed(known_code(ATTENDANCE.categories))

ATTENDANCE_EVENTS = (
    Resource(
        # The session tells rows of one day and category apart; sessions themselves are never asked for.
        name="studentSchoolAttendanceEvents",
        shape={
            "studentReference": STUDENT,
            "schoolReference": SCHOOL,
            "sessionReference": Member(
                {"schoolId": Member(school_id), "schoolYear": Member(year), "sessionName": Member(text(60))}
            ),
            "eventDate": needed(day),
            "attendanceEventCategoryDescriptor": _CATEGORY,
            "eventDuration": Member(days(1)),
        },
        identity=(
            "studentReference.studentUniqueId",
            "schoolReference.schoolId",
            "eventDate",
            "attendanceEventCategoryDescriptor",
            "sessionReference.schoolYear",
            "sessionReference.sessionName",
        ),
        references=(TO_STUDENT, TO_SCHOOL),
        school="schoolReference.schoolId",
        on="eventDate",
        codes=frozenset(("attendanceEventCategoryDescriptor",)),
        after=("studentSchoolAssociations", "calendarDates"),
    ),
    Resource(
        # A lesson missed is not a day missed: it is kept as it was told, and no fact follows from it.
        name="studentSectionAttendanceEvents",
        shape={
            "studentReference": STUDENT,
            "sectionReference": SECTION,
            "eventDate": needed(day),
            "attendanceEventCategoryDescriptor": _CATEGORY,
        },
        identity=(
            "studentReference.studentUniqueId",
            *paths("sectionReference", SECTION_KEY),
            "eventDate",
            "attendanceEventCategoryDescriptor",
        ),
        references=(TO_STUDENT, TO_SECTION),
        school="sectionReference.schoolId",
        on="eventDate",
        codes=frozenset(("attendanceEventCategoryDescriptor",)),
        after=("studentSectionAssociations",),
    ),
)
