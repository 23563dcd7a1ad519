"""Rehearsals that were asked for, and the recorded days that they run over."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field

from common.db import Table
from mtss.models.reading import facts_of
from mtss.rules import KINDS, NEVER, Facts, Policy
from mtss.rules.rehearsal.then import Later

STUDENTS_AT_ONCE = 5_000
"""So many students are read by one statement: their facts fit in memory twice, and progress is seen."""

_STUDENTS = sa.text(
    """
    SELECT student_id FROM mtss_student AS s
    WHERE school_id IS NOT NULL AND (cardinality(CAST(:schools AS text[])) = 0 OR EXISTS (
        SELECT FROM mtss_enrolment AS e
        WHERE e.student_id = s.student_id AND e.school_id = ANY(CAST(:schools AS text[]))
          AND e.superseded_at IS NULL AND NOT e.deleted
    ))
    ORDER BY school_id, student_id
    """
)
_KNOWN = sa.text(
    """
    SELECT count(*) AS closed_days, count(*) FILTER (WHERE known_at >= day + CAST(:late AS int)) AS closed_late, (
        SELECT count(*) FROM mtss_attendance_change
        WHERE cardinality(CAST(:schools AS text[])) = 0 OR school_id = ANY(CAST(:schools AS text[]))
    ) AS changed_later
    FROM mtss_closed_day
    WHERE superseded_at IS NULL AND NOT deleted
      AND (cardinality(CAST(:schools AS text[])) = 0 OR school_id = ANY(CAST(:schools AS text[])))
    """
)
_CHANGED_LATER = sa.text(
    """
    SELECT array_agg(student), array_agg(school), array_agg(day), array_agg(before), array_agg(after),
           array_agg(coalesce(kind_before, -1)), array_agg(coalesce(kind_after, -1)), array_agg(known)
    FROM (
        SELECT (g.place - 1)::int AS student, (s.place - 1)::int AS school, c.day - DATE '1970-01-01' AS day, c.before, c.after,
               array_position(CAST(:kinds AS text[]), c.kind_before) - 1 AS kind_before,
               array_position(CAST(:kinds AS text[]), c.kind_after) - 1 AS kind_after,
               CAST(c.known_at AT TIME ZONE CAST(:zone AS text) AS date) - DATE '1970-01-01' AS known
        FROM mtss_attendance_change AS c
        JOIN mtss_closed_day AS d ON d.school_id = c.school_id AND d.day = c.day
        JOIN unnest(CAST(:students AS uuid[])) WITH ORDINALITY AS g(student_id, place) ON g.student_id = c.student_id
        JOIN unnest(CAST(:schools AS text[])) WITH ORDINALITY AS s(school_id, place) ON s.school_id = c.school_id
        WHERE d.superseded_at IS NULL AND NOT d.deleted AND d.known_at < c.day + CAST(:late AS int)
        ORDER BY c.revision
    ) AS changed
    """
)
_SNAPSHOT = {"isolation_level": "REPEATABLE READ"}


class Rehearsal(Table, table=True):
    """One rehearsal: what was asked, how far it is, and what came of it. It names no student."""

    __tablename__ = "mtss_rehearsal"
    __table_args__ = (
        sa.Index("mtss_rehearsal_open", "asked_at", postgresql_where=sa.text("state IN ('waiting', 'running')")),
    )

    id: UUID = Field(primary_key=True)
    state: str
    asked_by: str
    asked_at: datetime = Field(sa_type=sa.DateTime(timezone=True))
    policy: dict[str, Any] = Field(sa_type=JSONB)
    against: dict[str, Any] = Field(sa_type=JSONB)
    known: str = Field(sa_column_kwargs={"server_default": "now"})
    """``now`` or ``then``: by which knowledge each day is judged."""
    school_years: list[int] = Field(sa_type=ARRAY(sa.Integer))
    schools: list[str] = Field(sa_type=ARRAY(sa.String))
    done: int = Field(default=0, sa_column_kwargs={"server_default": sa.text("0")})
    steps: int = Field(default=0, sa_column_kwargs={"server_default": sa.text("0")})
    begun: int = Field(default=0, sa_column_kwargs={"server_default": sa.text("0")})
    """How often somebody took it up: more than once where a service went away meanwhile."""
    worker: UUID | None
    beat_at: datetime | None = Field(default=None, sa_type=sa.DateTime(timezone=True))
    ended_at: datetime | None = Field(default=None, sa_type=sa.DateTime(timezone=True))
    reason: str | None
    """Why it failed."""
    result: dict[str, Any] | None = Field(sa_type=JSONB)


async def students_of(session: AsyncSession, schools: Sequence[str]) -> Sequence[UUID]:
    """Every student ever enrolled, or ever enrolled at one of ``schools``; by the school of the last enrolment.

    All that this transaction reads from here on is of one moment.
    """
    _ = await session.connection(execution_options=_SNAPSHOT)
    return (await session.scalars(_STUDENTS, {"schools": list(schools)})).all()


async def facts_in_parts(
    session: AsyncSession, students: Sequence[UUID], policies: Sequence[Policy]
) -> AsyncIterator[Facts]:
    """All that is known now and that any of ``policies`` listens to, some students at a time."""
    heard = [(NEVER, policy) for policy in policies]
    for first in range(0, len(students), STUDENTS_AT_ONCE):
        yield await facts_of(session, students[first : first + STUDENTS_AT_ONCE], heard)


async def known_when(session: AsyncSession, schools: Sequence[str], late_days: int) -> dict[str, int]:
    """How many days schools closed, how many of them by a later load, and how many entries changed after their day was closed."""
    found = await session.execute(_KNOWN, {"schools": list(schools), "late": late_days})
    return dict(found.mappings().one())


async def changed_later(
    session: AsyncSession, students: Sequence[UUID], schools: Sequence[str], late_days: int, zone: str
) -> Later:
    """What changed after its day was closed; students and schools are named by their places. Days of a later load are left out."""
    given = {"students": students, "schools": list(schools), "late": late_days, "zone": zone, "kinds": list(KINDS)}
    return Later.of(*(await session.execute(_CHANGED_LATER, given)).one())
