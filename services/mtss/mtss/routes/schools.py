"""Schools: how many students stand where, and how much is unknown."""

from collections import Counter
from datetime import date
from typing import Annotated

import sqlalchemy as sa
from fastapi import Path
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import visible_numbers, visible_to
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.errors import NotFound
from common.events import Tier
from common.runtime import Today
from common.scope import see_all
from mtss.models import Calendar, ClosedDay, Student, courses_of, last_enrolment_is_open, policy_in_force
from mtss.routes.documents import NO_CONTROL, WholeReader
from mtss.rules import Course

router = Router("mtss")


class SchoolSummary(BaseModel):
    """The students whose last enrolment is open at a school."""

    school_id: str
    students: int
    tiers: Annotated[dict[str, int], Field(examples=[{"universal": 371, "targeted": 44, "intensive": 3}])]
    undecided: int
    proposals_open: int
    unknown_clauses: Annotated[
        dict[str, int],
        Field(
            description="For each clause that assigns a tier the students of whom it is unknown, as of their last closed day."
        ),
    ]
    closed_through: date | None


@router.get("/v1/schools/{school_id}/summary")
async def read_school_summary(
    school_id: Annotated[str, Path(max_length=40, pattern=NO_CONTROL)], who: WholeReader, session: Session, today: Today
) -> SchoolSummary:
    """Tiers, open proposals and unknowns of one school."""
    if not await is_known(session, who, school_id):
        raise NotFound(what="school")
    asked = sa.select(Student).where(
        last_enrolment_is_open(today), col(Student.school_id) == school_id, visible_to(who, col(Student.student_id))
    )
    students = (await session.scalars(asked)).all()
    await see_all(
        session
    )  # both nets chose these students: to ask of each of their facts again cost half as much once more
    courses = await courses_of(session, [student.student_id for student in students])
    policy = await policy_in_force(session, today)
    tiers = Counter(student.tier for student in students)
    return SchoolSummary(
        school_id=school_id,
        students=len(students),
        tiers={tier.value: tiers[tier.value] for tier in Tier},
        undecided=tiers[None],
        proposals_open=sum(student.proposal_id is not None for student in students),
        unknown_clauses={
            clause: sum(_unknown(course, clause) for course in courses) for clause in policy.targeted.when.clauses()
        },
        closed_through=await _closed_through(session, school_id),
    )


async def is_known(session: AsyncSession, who: Principal, school_id: str) -> bool:
    """Whether there is a school of that name of which ``who`` is told."""
    schools = sa.union_all(
        sa.select(col(Student.school_id).label("school_id")).where(col(Student.school_id) == school_id),
        sa.select(col(Calendar.school_id)).where(col(Calendar.school_id) == school_id),
    ).subquery()
    seen = sa.select(sa.exists().where(visible_numbers(who, schools.c.school_id)).select_from(schools))
    return bool((await session.execute(seen)).scalar_one())


async def _closed_through(session: Session, school_id: str) -> date | None:
    last = sa.select(sa.func.max(ClosedDay.day)).where(
        col(ClosedDay.school_id) == school_id, col(ClosedDay.superseded_at).is_(None), ~col(ClosedDay.deleted)
    )
    return (await session.execute(last)).scalar_one()


def _unknown(course: Course, clause: str) -> bool:
    return not len(course) or clause not in course.policy.clauses or course.holds(clause, len(course) - 1) is None
