"""Rehearsals that were asked for, and the recorded days that they run over."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from common.db import Table
from mtss.models.knowing import Moment, facts_known
from mtss.models.reading import facts_of
from mtss.rules import NEVER, Facts, Policy, day_of
from mtss.rules.policy.difference import Rehearsed
from mtss.rules.rehearsal.then import Closings, Known, Moments

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
_DATE = "CAST({of}known_at AT TIME ZONE CAST(:zone AS text) AS date)"
# As mtss.rules.rehearsal.then has it: with a day that came with a load of the past came all that was closed with it.
_KNOWN = sa.text(
    f"""
    SELECT count(*) AS closed_days, count(*) FILTER (WHERE late OR (loaded AND known > day)) AS closed_late, (
        SELECT count(*) FROM mtss_attendance_change
        WHERE cardinality(CAST(:schools AS text[])) = 0 OR school_id = ANY(CAST(:schools AS text[]))
    ) AS changed_later
    FROM (
        SELECT day, known, known >= day + CAST(:late AS int) AS late,
               bool_or(known >= day + CAST(:late AS int)) OVER (PARTITION BY school_id, known) AS loaded
        FROM (
            SELECT school_id, day, {_DATE.format(of="")} AS known FROM mtss_closed_day
            WHERE superseded_at IS NULL AND NOT deleted
              AND (cardinality(CAST(:schools AS text[])) = 0 OR school_id = ANY(CAST(:schools AS text[])))
        ) AS closed
    ) AS closed
    """  # noqa: S608 (the only thing filled in is a constant of ours)
)
# Of each kind of fact the day on which a revision became known, where that is after the first day of which it says otherwise
# than the one before; of a closed day where a later one was known to be closed before, by the same school or the next one.
_MOMENTS = sa.text(
    f"""
    WITH given AS MATERIALIZED (
        SELECT student_id, (place - 1)::int AS student
        FROM unnest(CAST(:students AS uuid[])) WITH ORDINALITY AS asked(student_id, place)
    ), enrolment AS (
        SELECT student_id, {_DATE.format(of="")} AS known, CASE
            WHEN lag(revision) OVER earlier IS NULL OR deleted <> lag(deleted) OVER earlier
                OR is_primary <> lag(is_primary) OVER earlier OR grade IS DISTINCT FROM lag(grade) OVER earlier THEN entry_on
            WHEN exit_on IS DISTINCT FROM lag(exit_on) OVER earlier THEN least(exit_on, lag(exit_on) OVER earlier)
        END AS day
        FROM mtss_enrolment WINDOW earlier AS (PARTITION BY student_id, school_id, entry_on ORDER BY revision)
    ), incident AS (
        SELECT student_id, {_DATE.format(of="")} AS known, CASE
            WHEN lag(revision) OVER earlier IS NULL OR deleted <> lag(deleted) OVER earlier OR day <> lag(day) OVER earlier
                THEN least(day, lag(day) OVER earlier)
        END AS day
        FROM mtss_incident WINDOW earlier AS (PARTITION BY association_id ORDER BY revision)
    ), score AS (
        SELECT student_id, {_DATE.format(of="")} AS known, CASE
            WHEN lag(revision) OVER earlier IS NULL OR deleted <> lag(deleted) OVER earlier OR scores <> lag(scores) OVER earlier
                OR answered_on <> lag(answered_on) OVER earlier THEN least(answered_on, lag(answered_on) OVER earlier)
        END AS day
        FROM mtss_score WINDOW earlier AS (PARTITION BY student_id, window_id ORDER BY revision)
    ), exclusion AS (
        SELECT student_id, {_DATE.format(of="")} AS known, CASE
            WHEN lag(revision) OVER earlier IS NULL OR deleted <> lag(deleted) OVER earlier OR day <> lag(day) OVER earlier
                OR hundredths <> lag(hundredths) OVER earlier OR actions <> lag(actions) OVER earlier
                THEN least(day, lag(day) OVER earlier)
        END AS day
        FROM mtss_exclusion WINDOW earlier AS (PARTITION BY action_id, student_id ORDER BY revision)
    ), mark AS (
        SELECT student_id, {_DATE.format(of="")} AS known, CASE
            WHEN lag(revision) OVER earlier IS NULL OR deleted <> lag(deleted) OVER earlier OR day <> lag(day) OVER earlier
                OR failing <> lag(failing) OVER earlier THEN least(day, lag(day) OVER earlier)
        END AS day
        FROM mtss_mark WINDOW earlier AS (PARTITION BY mark_id ORDER BY revision)
    ), calendar AS (
        SELECT school_id, {_DATE.format(of="")} AS known, CASE WHEN deleted THEN '{{}}' ELSE days END AS days,
               coalesce(lag(CASE WHEN deleted THEN '{{}}' ELSE days END) OVER earlier, '{{}}') AS days_before
        FROM mtss_calendar WINDOW earlier AS (PARTITION BY school_id, school_year ORDER BY revision)
    ), reopened AS (
        SELECT school_id, {_DATE.format(of="")} AS known,
               CASE WHEN deleted <> lag(deleted) OVER earlier THEN day END AS day
        FROM mtss_closed_day WINDOW earlier AS (PARTITION BY school_id, day ORDER BY revision)
    ), closing AS MATERIALIZED (
        SELECT school_id, day, known, min(known) OVER (
            PARTITION BY school_id ORDER BY day DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS later_here, min(known) OVER (
            ORDER BY day DESC GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS later_anywhere
        FROM (
            SELECT school_id, day, min({_DATE.format(of="")}) AS known FROM mtss_closed_day WHERE NOT deleted GROUP BY school_id, day
        ) AS closed
    ), of_school AS (
        SELECT school_id, known FROM reopened WHERE known > day
        UNION
        SELECT school_id, known FROM closing WHERE later_here < known
        UNION
        SELECT school_id, known FROM calendar WHERE known > (
            SELECT min(day) FROM (
                (SELECT unnest(days) EXCEPT SELECT unnest(days_before)) UNION ALL (SELECT unnest(days_before) EXCEPT SELECT unnest(days))
            ) AS other(day)
        )
    ), moment AS (
        SELECT student_id, known FROM enrolment WHERE known > day
        UNION SELECT student_id, known FROM incident WHERE known > day
        UNION SELECT student_id, known FROM score WHERE known > day
        UNION SELECT student_id, known FROM exclusion WHERE known > day
        UNION SELECT student_id, known FROM mark WHERE known > day
        UNION SELECT student_id, {_DATE.format(of="")} FROM mtss_help_request WHERE {_DATE.format(of="")} > asked_on
        UNION SELECT student_id, {_DATE.format(of="")} FROM mtss_attendance_change WHERE {_DATE.format(of="")} > day
        UNION SELECT e.student_id, of_school.known FROM of_school JOIN mtss_enrolment AS e USING (school_id)
        UNION SELECT was.student_id, behind.known
        FROM mtss_enrolment AS was JOIN mtss_enrolment AS came USING (student_id)
        JOIN closing AS behind ON behind.school_id = was.school_id AND behind.later_anywhere < behind.known
            AND behind.day BETWEEN was.entry_on AND coalesce(was.exit_on, 'infinity') AND behind.known > came.entry_on
        WHERE came.school_id <> was.school_id AND EXISTS (
            SELECT FROM closing AS ahead WHERE ahead.school_id = came.school_id AND ahead.day >= came.entry_on
                AND ahead.day > behind.day AND ahead.known < behind.known
        )
    ), since AS MATERIALIZED (
        SELECT student, coalesce(min({_DATE.format(of="e.")}), DATE '9999-12-31') AS first
        FROM given LEFT JOIN mtss_enrolment AS e USING (student_id) GROUP BY student
    )
    SELECT since.*, moments.*
    FROM (SELECT array_agg(first - DATE '1970-01-01' ORDER BY student) FROM since) AS since,
    (
        SELECT array_agg(student ORDER BY student, known), array_agg(known - DATE '1970-01-01' ORDER BY student, known)
        FROM moment JOIN given USING (student_id) JOIN since USING (student) WHERE known > first
    ) AS moments
    """  # noqa: S608 (the only thing filled in is a constant of ours)
)
_CLOSINGS = sa.text(
    f"""
    SELECT array_agg(school), array_agg(day - DATE '1970-01-01'), array_agg(known - DATE '1970-01-01')
    FROM (
        SELECT (s.place - 1)::int AS school, c.day, min({_DATE.format(of="c.")}) AS known
        FROM mtss_closed_day AS c
        JOIN unnest(CAST(:schools AS text[])) WITH ORDINALITY AS s(school_id, place) ON s.school_id = c.school_id
        WHERE NOT c.deleted GROUP BY s.place, c.day
    ) AS closed
    """  # noqa: S608 (the only thing filled in is a constant of ours)
)
_FORMER = sa.text(
    """
    SELECT DISTINCT school_id FROM mtss_enrolment
    WHERE student_id = ANY(CAST(:students AS uuid[])) AND NOT school_id = ANY(CAST(:schools AS text[])) ORDER BY school_id
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


async def compared(session: AsyncSession, before: Policy, after: Policy) -> Rehearsed | None:
    """How many students the newest finished rehearsal of ``after`` against ``before`` tells of, if there is one."""
    report = col(Rehearsal.result)
    asked = sa.select(report["school_years"], col(Rehearsal.schools), report["policies"]).where(
        col(Rehearsal.state) == "done",
        col(Rehearsal.policy) == after.document,
        col(Rehearsal.against) == before.document,
    )
    found = (await session.execute(asked.order_by(col(Rehearsal.id).desc()).limit(1))).one_or_none()
    if found is None:
        return None
    years, schools, policies = found
    of_role = {each["role"]: each for each in policies}
    targeted, intensive = (
        tuple(of_role[role][of]["students"] for role in ("against", "policy")) for of in ("flow", "candidates")
    )
    return Rehearsed(years, schools, targeted, intensive)


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


async def known_when(session: AsyncSession, schools: Sequence[str], late_days: int, zone: str) -> dict[str, int]:
    """How many days schools closed, how many of them by a later load, and how many entries changed after their day was closed."""
    found = await session.execute(_KNOWN, {"schools": list(schools), "late": late_days, "zone": zone})
    return dict(found.mappings().one())


async def known_of(
    session: AsyncSession, students: Sequence[UUID], schools: Sequence[str], late_days: int, zone: str
) -> Known:
    """When what is known of ``students`` and ``schools`` became known; both are named by their places."""
    since, *moments = (await session.execute(_MOMENTS, {"students": students, "zone": zone})).one()
    former = (await session.scalars(_FORMER, {"students": students, "schools": list(schools)})).all()
    closings = (await session.execute(_CLOSINGS, {"schools": [*schools, None, *former], "zone": zone})).one()
    found = np.array(since or (), np.int32), Moments.of(*moments), Closings.of(*closings)
    return Known(*found, late_days, tuple(former))


async def facts_before(
    session: AsyncSession, students: Sequence[UUID], moments: Moments, policies: Sequence[Policy], zone: ZoneInfo
) -> AsyncIterator[Facts]:
    """At each of ``moments`` the facts of its student as they were known before that day, some at a time."""
    heard = [(NEVER, policy) for policy in policies]
    asked = [
        (students[student], Moment(datetime.combine(day_of(day), time(), zone) - timedelta.resolution))
        for student, day in zip(moments.student.tolist(), moments.day.tolist(), strict=True)
    ]
    for first in range(0, len(asked), STUDENTS_AT_ONCE):
        yield await facts_known(session, asked[first : first + STUDENTS_AT_ONCE], heard)
