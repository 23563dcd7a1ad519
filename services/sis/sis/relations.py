"""Whom staff answer for beyond their sections: said here by a person, with history, and told like every other fact."""

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import visible_to
from common.auth import Principal
from common.db import transaction_time
from common.errors import NotFound
from common.events import StaffRelated
from sis.facts import Fact, just, say
from sis.models import StaffRelation
from sis.resources import key_text

_KNOWN = sa.text(
    """
    SELECT EXISTS (SELECT FROM sis_document WHERE id = :staff AND resource = 'staffs' AND NOT deleted)
        AND (EXISTS (SELECT FROM sis_document WHERE id = CAST(:student AS uuid) AND resource = 'students' AND NOT deleted)
            OR EXISTS (SELECT FROM sis_document WHERE resource = 'schools' AND key = :school AND NOT deleted))
    """
)
# A student's schools: those with a stay today, else that of the last one. Exit on the day of entry is a no-show.
_SCHOOLS_OF_STUDENT = sa.text(
    """
    SELECT school_id FROM (
        SELECT school_id, rank() OVER (ORDER BY today DESC, CASE WHEN today THEN NULL ELSE on_date END DESC) AS place FROM (
            SELECT school_id, on_date, CAST(:today AS date) BETWEEN on_date
                AND COALESCE(CAST(body ->> 'exitWithdrawDate' AS date), 'infinity') AS today
            FROM sis_document
            WHERE refs @> ARRAY[sis_relation.student_id] AND resource = 'studentSchoolAssociations' AND NOT deleted
                AND body ->> 'exitWithdrawDate' IS DISTINCT FROM body ->> 'entryDate'
        ) AS stay
    ) AS placed WHERE place = 1
    """
)


class NobodyNamed(NotFound):
    """There is no such member of staff, student or school, or it is not at a school of this token."""


def seen_by(who: Principal, today: date) -> sa.ColumnElement[bool]:
    """Which relations ``who`` sees: those about a student or a grade of their schools."""
    schools = _SCHOOLS_OF_STUDENT.bindparams(today=today).columns(sa.column("school_id", sa.Text)).subquery()
    of_student = sa.select(sa.literal(1)).select_from(schools).where(visible_to(who, schools.c.school_id))
    return sa.or_(visible_to(who, col(StaffRelation.school_id)), of_student.exists())


async def relate(session: AsyncSession, who: Principal, relation: StaffRelation, today: date) -> None:
    """Keep and say a new relation.

    Raises:
        NobodyNamed: it names somebody or a school that is not known, or whom ``who`` does not see.
    """
    named = {"staff": relation.staff_id, "student": relation.student_id, "school": key_text([relation.school_id])}
    session.add(relation)
    await session.flush()
    if not await session.scalar(_KNOWN, named) or await _find(session, who, relation.id, today) is None:
        raise NobodyNamed
    await _say(session, relation.made_at, relation)


async def end(session: AsyncSession, who: Principal, relation_id: UUID, today: date) -> StaffRelation:
    """Let a relation end today; one that began no earlier never counted. What has ended stays as it is.

    Raises:
        NotFound: there is none, or ``who`` does not see it.
    """
    relation = await _find(session, who, relation_id, today)
    if relation is None:
        raise NotFound(what="relation")
    if relation.withdrawn or (relation.end_on is not None and relation.end_on <= today):
        return relation
    at = await transaction_time(session)
    relation.ended_at, relation.ended_by = at, who.subject
    if relation.begin_on >= today:
        relation.withdrawn = True
    else:
        relation.end_on = today
    await session.flush()
    await _say(session, at, relation)
    return relation


async def _find(session: AsyncSession, who: Principal, relation_id: UUID, today: date) -> StaffRelation | None:
    chosen = sa.select(StaffRelation).where(col(StaffRelation.id) == relation_id, seen_by(who, today))
    found: StaffRelation | None = await session.scalar(chosen.with_for_update())
    return found


async def _say(session: AsyncSession, at: datetime, relation: StaffRelation) -> None:
    state = {
        "relation_id": str(relation.id),
        "staff_id": str(relation.staff_id),
        "kind": relation.kind,
        "student_id": str(relation.student_id) if relation.student_id else None,
        "school_id": relation.school_id,
        "grade": relation.grade,
        "begin_on": relation.begin_on.isoformat(),
        "end_on": relation.end_on.isoformat() if relation.end_on else None,
    }
    key = (relation.id,)
    await say(session, at, StaffRelated, [key], just({key: Fact(state, relation.withdrawn)}))
