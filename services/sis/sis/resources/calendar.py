"""School calendars."""

from sis.policy import CALENDAR
from sis.resources.kinds import Reference, Resource
from sis.resources.parts import needed, reference
from sis.rules.members import Member, day, identifier, known_code, school_id, year

CALENDARS = (
    Resource(
        name="calendarDates",
        shape={
            "calendarReference": reference(
                calendarCode=needed(identifier), schoolId=needed(school_id), schoolYear=needed(year)
            ),
            "date": needed(day),
            "calendarEvents": Member(
                {"calendarEventDescriptor": needed(known_code(CALENDAR.known))}, required=True, many=True
            ),
        },
        identity=(
            "calendarReference.calendarCode",
            "calendarReference.schoolId",
            "calendarReference.schoolYear",
            "date",
        ),
        references=(Reference("schools", "calendarReference", ("schoolId",)),),
        school="calendarReference.schoolId",
        on="date",
    ),
)
