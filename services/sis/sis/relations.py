"""Whom staff answer for beyond their sections: said here by a person, with history, and told like every other fact."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import visible_school, visible_to
from common.auth import Principal
from common.db import transaction_time
from common.errors import Invalid, NotFound
from common.events import StaffRelated
from common.scope import see_all
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


class NobodyNamed(NotFound):
    """There is no such member of staff, student or school, or it is not at a school of this token."""


def seen_by(who: Principal) -> sa.ColumnElement[bool]:
    """Which relations ``who`` sees: those about a student they see, or about a grade of their schools."""
    return _seen(who, col(StaffRelation.student_id), col(StaffRelation.school_id))


async def relate(session: AsyncSession, who: Principal, relation: StaffRelation) -> None:
    """Keep and say a new relation.

    Raises:
        NobodyNamed: it names somebody or a school that is not known, or whom ``who`` does not see.
        Invalid: it ends before it begins.
    """
    about = sa.literal(relation.student_id, sa.Uuid), sa.literal(relation.school_id, sa.Text)
    if not await session.scalar(sa.select(_seen(who, *about))):
        raise NobodyNamed
    session.add(relation)
    try:
        await session.flush()
    except ProgrammingError:  # row security refuses whom ``who`` does not see
        raise NobodyNamed from None
    # Not before it is known that they are seen: a kept answer is for who would still be told of them.
    if relation.end_on is not None and relation.end_on < relation.begin_on:
        raise Invalid(field="end_on", rule="must not be before begin_on")
    await see_all(session)  # members of staff and schools are seen by nobody's students
    named = {"staff": relation.staff_id, "student": relation.student_id, "school": key_text([relation.school_id])}
    if not await session.scalar(_KNOWN, named):
        raise NobodyNamed
    await _say(session, relation.made_at, relation)


async def end(session: AsyncSession, who: Principal, relation_id: UUID, today: date) -> StaffRelation:
    """Let a relation end today; one that began no earlier never counted. What has ended stays as it is.

    Raises:
        NotFound: there is none, or ``who`` does not see it.
    """
    chosen = sa.select(StaffRelation).where(col(StaffRelation.id) == relation_id, seen_by(who))
    relation: StaffRelation | None = await session.scalar(chosen.with_for_update())
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
    await see_all(session)
    await _say(session, at, relation)
    return relation


def _seen(who: Principal, student: Any, school: Any) -> sa.ColumnElement[bool]:
    return sa.or_(visible_school(who, school), visible_to(who, student))


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
