"""Adoptions on their way: counted from the first student on, what was heard since, and schools that are behind their first day."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from mtss.models.asking import last_enrolment_is_open
from mtss.models.policy import Adoption
from mtss.models.tables import ClosedDay, Student

_ALL = sa.text("SELECT count(*), now() FROM mtss_student")


async def count_anew(session: AsyncSession, adoption: Adoption) -> None:
    """Have all students counted, those who left too, from the first on."""
    adoption.state, adoption.cursor, adoption.done = "counting", None, 0
    adoption.with_tier, adoption.changed, adoption.counts = 0, 0, {}
    adoption.total, adoption.counted_at = (await session.execute(_ALL)).one()


async def counts_hold_since(session: AsyncSession) -> datetime | None:
    """Since when no day was closed and no policy came into force: what was counted before is old."""
    closed, began = sa.func.max(col(ClosedDay.known_at)), sa.func.max(col(Adoption.in_force_at))
    latest = sa.func.greatest(sa.select(closed).scalar_subquery(), sa.select(began).scalar_subquery())
    return await session.scalar(sa.select(latest))


async def schools_behind(session: AsyncSession, adoptions: Sequence[UUID], today: date) -> Mapping[UUID, list[str]]:
    """For each adoption the schools with students that have closed no day from its first one on."""
    school = sa.select(col(Student.school_id)).where(last_enrolment_is_open(today)).distinct().subquery().c.school_id
    closed = sa.select(ClosedDay).where(
        col(ClosedDay.school_id) == school,
        col(ClosedDay.day) >= Adoption.first_on,
        col(ClosedDay.superseded_at).is_(None),
        ~col(ClosedDay.deleted),
    )
    asked = sa.select(col(Adoption.id), school).join_from(Adoption, school.table, ~closed.exists())
    found: dict[UUID, list[str]] = {}
    for adoption, name in await session.execute(asked.where(col(Adoption.id).in_(adoptions)).order_by(school)):
        found.setdefault(adoption, []).append(name)
    return found
