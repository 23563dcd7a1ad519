"""Attendance."""

from sis.policy import ATTENDANCE
from sis.resources.kinds import Resource
from sis.resources.parts import SCHOOL, STUDENT, TO_SCHOOL, TO_STUDENT, needed
from sis.rules.members import Member, day, days, known_code, text, year

ATTENDANCE_EVENTS = (
    Resource(
        # The session tells rows of one day and category apart; sessions themselves are never asked for.
        name="studentSchoolAttendanceEvents",
        shape={
            "studentReference": STUDENT,
            "schoolReference": SCHOOL,
            "sessionReference": Member({"schoolYear": Member(year), "sessionName": Member(text(60))}),
            "eventDate": needed(day),
            "attendanceEventCategoryDescriptor": needed(known_code(ATTENDANCE.categories)),
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
    ),
)
