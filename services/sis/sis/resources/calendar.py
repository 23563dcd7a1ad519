"""School calendars, sessions and grading periods."""

from sis.policy import CALENDAR
from sis.resources.kinds import InOrder, Reference, Resource
from sis.resources.parts import PERIOD, SCHOOL, SCHOOL_YEAR, TO_SCHOOL, needed, reference
from sis.rules.members import Member
from sis.rules.values import day, descriptor, identifier, known_code, school_id, text, year

_YEAR_KEY = ("schoolReference.schoolId", "schoolYearTypeReference.schoolYear")

CALENDARS = (
    Resource(
        name="calendars",
        shape={
            "calendarCode": needed(identifier),
            "schoolReference": SCHOOL,
            "schoolYearTypeReference": SCHOOL_YEAR,
        },
        identity=("calendarCode", *_YEAR_KEY),
        references=(TO_SCHOOL,),
        school="schoolReference.schoolId",
    ),
    Resource(
        # Whether the calendar itself was pushed is not asked: a day counts whatever calendar of the school says so.
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
        after=("calendars",),
    ),
    Resource(
        name="sessions",
        shape={
            "sessionName": needed(text(60)),
            "schoolReference": SCHOOL,
            "schoolYearTypeReference": SCHOOL_YEAR,
            "beginDate": needed(day),
            "endDate": needed(day),
        },
        identity=("sessionName", *_YEAR_KEY),
        references=(TO_SCHOOL,),
        school="schoolReference.schoolId",
        on="beginDate",
        check=InOrder("beginDate", "endDate"),
    ),
    Resource(
        name="gradingPeriods",
        shape={
            "gradingPeriodDescriptor": needed(descriptor),
            "gradingPeriodName": PERIOD,
            "schoolReference": SCHOOL,
            "schoolYearTypeReference": SCHOOL_YEAR,
            "beginDate": needed(day),
            "endDate": needed(day),
        },
        identity=("gradingPeriodDescriptor", "gradingPeriodName", *_YEAR_KEY),
        references=(TO_SCHOOL,),
        school="schoolReference.schoolId",
        on="beginDate",
        codes=frozenset(("gradingPeriodDescriptor",)),
        check=InOrder("beginDate", "endDate"),
    ),
)
