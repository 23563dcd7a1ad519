"""How fresh what is known of schools is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.scope import see_all
from mtss.models.tables import Student

# Only a day that is over can be late.
_SCHOOLS = sa.text(
    """
    SELECT given.school_id, closed.through, open.days AS silent_days, open.since AS silent_since,
           (SELECT accepted_at FROM mtss_push AS p WHERE p.school_id = given.school_id) AS last_push_at
    FROM unnest(CAST(:schools AS text[])) AS given(school_id)
    LEFT JOIN LATERAL (
        SELECT max(day) AS through FROM mtss_closed_day AS c
        WHERE c.school_id = given.school_id AND c.superseded_at IS NULL AND NOT c.deleted
    ) AS closed ON true
    LEFT JOIN LATERAL (
        SELECT count(DISTINCT day) AS days, min(day) AS since FROM mtss_calendar AS c, unnest(c.days) AS day
        WHERE c.school_id = given.school_id AND c.superseded_at IS NULL AND NOT c.deleted
          AND day > coalesce(closed.through, '-infinity') AND day < :today
    ) AS open ON true
    ORDER BY given.school_id COLLATE "C"
    """
)
_PARKED = sa.text(
    """
    SELECT key, min(parked_at) AS oldest_at FROM inbox_parked
    WHERE discarded_at IS NULL AND type LIKE 'sis.%' AND key = ANY(CAST(:schools AS text[])) GROUP BY key
    """
)


@dataclass(frozen=True, slots=True)
class School:
    """A school as far as is known here."""

    school_id: str
    through: date | None
    """The last closed day."""
    silent_days: int
    """Instructional days before today that were not closed after it."""
    silent_since: date | None
    """The first of them."""
    last_push_at: datetime | None
    """When the newest thing known of the school was accepted at the door."""


async def schools_heard(session: AsyncSession, schools: Sequence[str], today: date) -> list[School]:
    """Since when each of ``schools`` is silent, in the order of their ids."""
    found = await session.execute(_SCHOOLS, {"schools": schools, "today": today})
    return [School(**row) for row in found.mappings()]


@dataclass(frozen=True, slots=True)
class Unknown:
    """The students of one school, and how many of them nothing is known of."""

    students: int
    undecided: int
    """Without any closed day."""
    clauses: Mapping[str, int]
    """By clause those of whom it is unknown."""


async def unknown_at(session: AsyncSession, mine: Sequence[ColumnElement[bool]]) -> dict[str | None, Unknown]:
    """What is unknown of the students that ``mine`` chooses, by their school."""
    school, unknown = col(Student.school_id), col(Student.unknown)
    asked = sa.select(school, sa.func.count(), sa.func.count().filter(unknown.is_(None))).where(*mine)
    counts = (await session.execute(asked.group_by(school))).all()
    each = sa.select(school, sa.func.unnest(unknown).label("clause")).where(*mine).subquery()
    by_clause = sa.select(each.c.school_id, each.c.clause, sa.func.count()).group_by(each.c.school_id, each.c.clause)
    clauses: dict[str | None, dict[str, int]] = {}
    for school_id, clause, count in await session.execute(by_clause.order_by(each.c.clause)):
        clauses.setdefault(school_id, {})[clause] = count
    return {
        school_id: Unknown(students, undecided, clauses.get(school_id, {})) for school_id, students, undecided in counts
    }


async def parked_since(session: AsyncSession, schools: Sequence[str]) -> dict[str, datetime]:
    """Since when the oldest event of a school has been parked; what is parked is nobody's to see, so all is seen from here on."""
    await see_all(session)
    return {row.key: row.oldest_at for row in await session.execute(_PARKED, {"schools": schools})}
