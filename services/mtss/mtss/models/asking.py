"""Selects that more than one route asks, and courses computed for a reader."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.events import Cause, Tier
from mtss.models.policy import policies_in_force
from mtss.models.reading import facts_of
from mtss.models.tables import Decision, Student
from mtss.rules import Course, course_of, follow, signals_since, what_may_change


def last_enrolment_is_open(today: date) -> ColumnElement[bool]:
    """Students whose last enrolment has no exit, or one that is still to come."""
    still_to_come = sa.and_(col(Student.exit_on) >= today, col(Student.exit_on) > col(Student.entry_on))
    return sa.and_(col(Student.enrolled), sa.or_(col(Student.exit_on).is_(None), still_to_come))


def ended_by_itself(today: date, days: int) -> ColumnElement[bool]:
    """Students with the decision that was the last about them, if by it support ended of late, and no person said so."""
    since = datetime.combine(today - timedelta(days=days), time(), UTC)
    less = sa.or_(
        sa.and_(col(Decision.tier_before) == Tier.TARGETED, col(Decision.tier) == Tier.UNIVERSAL),
        sa.and_(col(Decision.tier_before) == Tier.INTENSIVE, col(Decision.tier).in_((Tier.UNIVERSAL, Tier.TARGETED))),
    )
    by_itself = col(Decision.cause).not_in((Cause.ACCEPTED, Cause.OVERRIDDEN))
    return sa.and_(col(Decision.id) == col(Student.decision_id), less, by_itself, col(Decision.known_at) >= since)


async def courses_of(session: AsyncSession, students: Sequence[UUID]) -> list[Course]:
    """The course of each of ``students``, from what is known now."""
    in_force = await policies_in_force(session)
    facts = await facts_of(session, students, in_force.every)
    courses = follow(facts, in_force.policies())
    return [course_of(facts, courses, place) for place in range(len(students))]


async def signals_since_of(session: AsyncSession, students: Sequence[UUID]) -> list[dict[str, str]]:
    """Since when which signals stand for each of ``students``, made anew: for those not decided about since an upgrade."""
    in_force = await policies_in_force(session)
    facts = await facts_of(session, students, in_force.every)
    found = signals_since(follow(facts, in_force.policies()))
    return [{name: str(day) for name, day in (each or {}).items()} for each in found]


async def course_ahead(session: AsyncSession, student: UUID) -> Course:
    """The course of one student with what would change it."""
    in_force = await policies_in_force(session)
    facts = await facts_of(session, [student], in_force.every)
    courses = follow(facts, in_force.policies())
    return course_of(facts, courses, 0, what_may_change(facts, courses, in_force.policies(), [0]).get(0))
