"""How much this service holds, in numbers without a person."""

from datetime import date

import sqlalchemy as sa
from pydantic import BaseModel

from common.access import require
from common.app import Router
from common.db import Session
from common.events import AttendanceRecorded, SchoolDayClosed, StudentEnrolled
from common.runtime import Today

router = Router(
    "sis", tags=["summary"], dependencies=[require("district", reads=["non_personal"], purpose="operations")]
)

_COUNTS = sa.text(
    """
    SELECT
        (SELECT count(*) FROM sis_document WHERE resource = 'students' AND NOT deleted) AS students,
        (SELECT count(DISTINCT state ->> 'student_id') FROM sis_fact
            WHERE type = :enrolled AND NOT deleted AND state ->> 'exit_on' IS DISTINCT FROM state ->> 'entry_on'
                AND coalesce(CAST(state ->> 'exit_on' AS date), :today) >= :today) AS enrolled,
        (SELECT count(*) FROM sis_document WHERE resource = 'studentSchoolAttendanceEvents' AND NOT deleted) AS attendance_rows,
        (SELECT count(*) FROM sis_fact
            WHERE type = :attendance AND NOT deleted AND CAST(state ->> 'hundredths_absent' AS int) > 0) AS absences
    """
)
_SCHOOLS = sa.text(
    """
    SELECT school.school_id, school.body ->> 'nameOfInstitution' AS name,
        (SELECT max(on_date) FROM sis_fact
            WHERE type = :closed AND sis_fact.school_id = school.school_id AND NOT deleted) AS closed_through
    FROM sis_document AS school WHERE school.resource = 'schools' AND NOT school.deleted ORDER BY school.school_id
    """
)


class SchoolSummary(BaseModel):
    """One school and its last closed day."""

    school_id: str
    name: str | None
    closed_through: date | None


class Summary(BaseModel):
    """Counts: students, those with an open enrolment, attendance rows, and days on which something was missed."""

    students: int
    enrolled: int
    attendance_rows: int
    absences: int
    schools: list[SchoolSummary]


@router.get("/v1/summary")
async def read_summary(session: Session, today: Today) -> Summary:
    """What the SIS has told so far, in numbers."""
    kinds = {"enrolled": StudentEnrolled.type(), "attendance": AttendanceRecorded.type(), "today": today}
    counts = (await session.execute(_COUNTS, kinds)).one()
    schools = await session.execute(_SCHOOLS, {"closed": SchoolDayClosed.type()})
    return Summary(
        students=counts.students,
        enrolled=counts.enrolled,
        attendance_rows=counts.attendance_rows,
        absences=counts.absences,
        schools=[
            SchoolSummary(school_id=row.school_id, name=row.name, closed_through=row.closed_through) for row in schools
        ],
    )
