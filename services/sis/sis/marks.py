"""Which courses students passed and which not, at the end of each grading period: what follows from documents of grades.

A mark counts at the end of its grading period, so nothing is said as long as nobody has told when that is. Of several marks of one course
at that day, of the period, the semester and the whole course, the broadest alone is said; where a student went from one section
of the course to another, that of the later one.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import fetch
from common.events import CourseMarked
from sis import facts
from sis.facts import Fact, FactKey, say
from sis.policy import MARKS
from sis.resources import RESOURCES
from sis.standing import Standing
from sis.teaching import READ_DATES, TELL_DATES

_PERIODS = RESOURCES["gradingPeriods"]
_GIVEN = sa.text(
    """
    SELECT g.id, g.student_id, a.refs[2], g.school_id, g.body
    FROM unnest(CAST(:ids AS uuid[])) AS wanted(id) JOIN sis_document AS g ON g.id = wanted.id AND NOT g.deleted
    JOIN sis_document AS a ON a.id = g.refs[2]
    """
)
# Whose marks are being told waits for whoever tells others of theirs: what one says hangs on the others of its course and day.
_ALONE = sa.text(
    """
    SELECT FROM sis_document WHERE id IN (
        SELECT g.student_id FROM unnest(CAST(:ids AS uuid[])) AS wanted(id) JOIN sis_document AS g ON g.id = wanted.id
    ) ORDER BY key COLLATE "C" FOR NO KEY UPDATE
    """
)
_BESIDE = sa.text(
    """
    SELECT b.id FROM (
        SELECT DISTINCT g.student_id, g.school_id, g.body #>> '{studentSectionAssociationReference,localCourseCode}' AS code
        FROM unnest(CAST(:ids AS uuid[])) AS wanted(id) JOIN sis_document AS g ON g.id = wanted.id
    ) AS course CROSS JOIN LATERAL (
        SELECT id FROM sis_document
        WHERE student_id = course.student_id AND school_id = course.school_id AND resource = 'grades' AND NOT deleted
            AND body #>> '{studentSectionAssociationReference,localCourseCode}' = course.code
        OFFSET 0
    ) AS b
    """
)
_ENDS = sa.text(
    """
    SELECT key, body ->> 'endDate' FROM sis_document
    WHERE resource = 'gradingPeriods' AND key = ANY(CAST(:keys AS text[])) AND NOT deleted
    """
)
_IN_PERIODS = sa.text(
    """
    SELECT id, body FROM sis_document
    WHERE school_id = ANY(CAST(:schools AS text[])) AND resource = 'grades' AND NOT deleted
        AND body #>> '{gradingPeriodReference,gradingPeriodName}' = ANY(CAST(:names AS text[]))
    """
)


async def mark(session: AsyncSession, at: datetime, changed: Sequence[Standing]) -> None:
    """Say what the marks that were told come to."""
    keys = {_period_of(document.content.body) for document in changed if not document.content.deleted}
    if keys:
        await fetch(session, READ_DATES, {"keys": list(keys)})
    await _say_marks(session, at, [document.id for document in changed])


async def set_periods(session: AsyncSession, at: datetime, changed: Sequence[Standing]) -> None:
    """Say again the marks of these grading periods, as far as they are of the period's own school."""
    told = {document.key for document in changed}
    await fetch(session, TELL_DATES, {"keys": list(told)})
    wanted = {
        "schools": list({document.school_id for document in changed}),
        "names": list({document.content.body["gradingPeriodName"] for document in changed}),
    }
    found = await fetch(session, _IN_PERIODS, wanted)
    await _say_marks(session, at, [identity for identity, body in found if _period_of(body) in told])


async def _say_marks(session: AsyncSession, at: datetime, told: Collection[UUID]) -> None:
    await fetch(session, _ALONE, {"ids": list(told)})
    ids = {*told, *(identity for (identity,) in await fetch(session, _BESIDE, {"ids": list(told)}))}

    async def resolve(standing: facts.Standing) -> Mapping[FactKey, Fact]:
        gone = {key: Fact(fact.state, deleted=True) for key, fact in standing.items()}
        return gone | await _marked(session, ids)

    await say(session, at, CourseMarked, [(identity,) for identity in sorted(ids)], resolve)


async def _marked(session: AsyncSession, ids: Collection[UUID]) -> dict[FactKey, Fact]:
    """What these documents say, where it is understood and the end of the grading period is known."""
    given = await fetch(session, _GIVEN, {"ids": list(ids)})
    periods = {identity: _period_of(body) for identity, *_, body in given}
    ends = dict(await fetch(session, _ENDS, {"keys": list({*periods.values()})}))
    broadest: dict[tuple[UUID, str, str, str], tuple[int, str, UUID, Fact]] = {}
    for identity, student, section, school, body in given:
        fails = MARKS.fails(body["gradeTypeDescriptor"], body.get("letterGradeEarned"), body.get("numericGradeEarned"))
        ends_on = ends.get(periods[identity])
        if fails is not None and ends_on is not None:
            said = {
                "mark_id": str(identity),
                "student_id": str(student),
                "section_id": str(section),
                "school_id": school,
                "on": ends_on,
                "failing": fails,
            }
            sitting = body["studentSectionAssociationReference"]
            one = (MARKS.breadth(body["gradeTypeDescriptor"]), sitting["beginDate"], identity, Fact(said))
            course = (student, school, sitting["localCourseCode"], ends_on)
            broadest[course] = max(one, broadest.get(course, one), key=itemgetter(0, 1, 2))
    return {(identity,): fact for *_, identity, fact in broadest.values()}


def _period_of(body: Mapping[str, Any]) -> str:
    """The natural key of the grading period; of the school and the school year of the section, where no other are named."""
    period, section = body["gradingPeriodReference"], body["studentSectionAssociationReference"]
    school, year = (period.get(name, section[name]) for name in ("schoolId", "schoolYear"))
    named = {
        **period,
        "schoolReference": {"schoolId": school},
        "schoolYearTypeReference": {"schoolYear": year},
    }
    return _PERIODS.key(named)
