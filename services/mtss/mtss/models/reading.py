"""Facts on their way from the tables to the rules: one statement, columns instead of rows."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from mtss.rules import (
    KINDS,
    NEVER,
    RULINGS,
    TIERS,
    Absences,
    Calendar,
    Closed,
    Enrolments,
    Exclusions,
    Facts,
    HelpRequests,
    Marks,
    Policies,
    Referrals,
    Rulings,
    Scores,
)

# Every column is one array, and students, schools and days are numbers: a thousand students are read as fast as one row.
# OFFSET 0 keeps each LATERAL a look-up by index for each student or school, also where the planner knows no numbers yet.
_FACTS = sa.text(
    f"""
    WITH student AS MATERIALIZED (
        SELECT student_id, (place - 1)::int AS student
        FROM unnest(CAST(:students AS uuid[])) WITH ORDINALITY AS given(student_id, place)
    ), enrolment AS MATERIALIZED (
        SELECT student, e.* FROM student, LATERAL (
            SELECT school_id, entry_on - DATE '1970-01-01' AS entry_day,
                   coalesce(exit_on - DATE '1970-01-01', {NEVER}) AS exit_day, is_primary::int AS is_primary,
                   coalesce(grade, '') AS grade
            FROM mtss_enrolment WHERE student_id = student.student_id AND superseded_at IS NULL AND NOT deleted OFFSET 0
        ) AS e
    ), school AS MATERIALIZED (
        SELECT school_id, (row_number() OVER (ORDER BY school_id COLLATE "C") - 1)::int AS school
        FROM (SELECT DISTINCT school_id FROM enrolment) AS each
    )
    SELECT schools.*, enrolments.*, calendars.*, closed.*, absences.*, referrals.*, scores.*, rulings.*, help_requests.*, exclusions.*,
        marks.*, seen.*
    FROM (SELECT array_agg(school_id ORDER BY school) FROM school) AS schools,
    (
        SELECT array_agg(student), array_agg(school), array_agg(entry_day), array_agg(exit_day), array_agg(is_primary),
               array_agg(grade)
        FROM enrolment JOIN school USING (school_id)
    ) AS enrolments,
    (
        SELECT array_agg(school), array_agg(c.school_year), array_agg(c.day)
        FROM school, LATERAL (
            SELECT school_year, day - DATE '1970-01-01' AS day FROM mtss_calendar, unnest(days) AS day
            WHERE school_id = school.school_id AND superseded_at IS NULL AND NOT deleted OFFSET 0
        ) AS c
    ) AS calendars,
    (
        SELECT array_agg(school), array_agg(c.day), array_agg(c.implied)
        FROM school, LATERAL (
            SELECT day - DATE '1970-01-01' AS day, implied::int AS implied FROM mtss_closed_day
            WHERE school_id = school.school_id AND superseded_at IS NULL AND NOT deleted OFFSET 0
        ) AS c
    ) AS closed,
    (
        SELECT array_agg(student), array_agg(school), array_agg(a.day), array_agg(a.hundredths_absent), array_agg(a.kind)
        FROM student, LATERAL (
            SELECT school_id, day - DATE '1970-01-01' AS day, hundredths_absent,
                   array_position(CAST(:kinds AS text[]), kind) - 1 AS kind
            FROM mtss_attendance WHERE student_id = student.student_id AND (hundredths_absent > 0 OR kind = 'tardy') OFFSET 0
        ) AS a JOIN school USING (school_id)
    ) AS absences,
    (
        SELECT array_agg(student), array_agg(i.day)
        FROM student, LATERAL (
            SELECT min(day) - DATE '1970-01-01' AS day FROM mtss_incident
            WHERE student_id = student.student_id AND superseded_at IS NULL AND NOT deleted GROUP BY incident_id OFFSET 0
        ) AS i
    ) AS referrals,
    (
        SELECT array_agg(student), array_agg(s.day), array_agg(s.subscale), array_agg(s.mean), array_agg(s.answered),
               array_agg(s.items), array_agg(s.prorated)
        FROM student, LATERAL (
            SELECT answered_on - DATE '1970-01-01' AS day,
                   array_position(CAST(:subscales AS text[]), each->>'subscale') - 1 AS subscale, (each->>'mean')::float8 AS mean,
                   (each->>'answered')::int AS answered, (each->>'items')::int AS items,
                   (each->>'prorated')::boolean::int AS prorated
            FROM mtss_score, jsonb_array_elements(scores) AS each
            WHERE student_id = student.student_id AND superseded_at IS NULL AND NOT deleted
              AND each->>'subscale' = ANY(CAST(:subscales AS text[])) OFFSET 0
        ) AS s
    ) AS scores,
    (
        SELECT array_agg(student), array_agg(r.number), array_agg(array_position(CAST(:rulings AS text[]), r.kind) - 1),
               array_agg(array_position(CAST(:tiers AS text[]), r.tier) - 1), array_agg(r.day), array_agg(r.until),
               array_agg(r.by)
        FROM student, LATERAL (
            SELECT number, kind, tier, made_on - DATE '1970-01-01' AS day,
                   coalesce(until - DATE '1970-01-01', {NEVER}) AS until, by
            FROM mtss_ruling WHERE student_id = student.student_id OFFSET 0
        ) AS r
    ) AS rulings,
    (
        SELECT array_agg(student), array_agg(h.day)
        FROM student, LATERAL (
            SELECT asked_on - DATE '1970-01-01' AS day FROM mtss_help_request
            WHERE student_id = student.student_id OFFSET 0
        ) AS h
    ) AS help_requests,
    (
        SELECT array_agg(student), array_agg(x.day), array_agg(x.hundredths), array_agg(x.actions)
        FROM student, LATERAL (
            SELECT day - DATE '1970-01-01' AS day, hundredths, actions FROM mtss_exclusion
            WHERE student_id = student.student_id AND superseded_at IS NULL AND NOT deleted OFFSET 0
        ) AS x
    ) AS exclusions,
    (
        SELECT array_agg(student), array_agg(m.day), array_agg(m.failing), array_agg(m.courses)
        FROM student, LATERAL (
            SELECT day - DATE '1970-01-01' AS day, count(DISTINCT section_id) FILTER (WHERE failing)::int AS failing,
                   count(DISTINCT section_id)::int AS courses
            FROM (
                SELECT day, section_id, failing FROM mtss_mark
                WHERE student_id = student.student_id AND superseded_at IS NULL AND NOT deleted OFFSET 0
            ) AS known GROUP BY day OFFSET 0
        ) AS m
    ) AS marks, (
        SELECT clock_timestamp(), pg_current_snapshot()::text, pg_current_xact_id_if_assigned()::text
    ) AS seen
    """  # noqa: S608 (the only thing filled in is a constant of ours)
)


PLACES = {"kinds": list(KINDS), "rulings": list(RULINGS), "tiers": list(TIERS)}
"""Words that facts name by their place."""


async def facts_of(session: AsyncSession, students: Sequence[UUID], policies: Policies) -> Facts:
    """All that is known now and decides about ``students``, who are named by their place from here on."""
    subscales = subscales_of(policies)
    given = {"students": students, **PLACES, "subscales": subscales}
    return facts_from(len(students), (await session.execute(_FACTS, given)).one(), subscales)


def subscales_of(policies: Policies) -> Sequence[str]:
    """The survey subscales that any of ``policies`` listens to."""
    return sorted({each for _, policy in policies for each in policy.subscales})


def facts_from(students: int, columns: Sequence[Any], subscales: Sequence[str]) -> Facts:
    """What the statement read, as the rules take it."""
    grades, grade = np.unique(np.array(columns[6] or (), np.str_), return_inverse=True)
    actions, action = np.unique(np.array(columns[39] or (), np.str_), return_inverse=True)
    authors, author = np.unique(np.array(columns[33] or (), np.str_), return_inverse=True)
    return Facts(
        students=students,
        schools=tuple(columns[0] or ()),
        grades=tuple(map(str, grades)),
        subscales=tuple(subscales),
        enrolments=Enrolments.of(*columns[1:6], grade.tolist()),
        calendar=Calendar.of(*columns[7:10]),
        closed=Closed.of(*columns[10:13]),
        absences=Absences.of(*columns[13:18]),
        referrals=Referrals.of(*columns[18:20]),
        scores=Scores.of(*columns[20:27]),
        help_requests=HelpRequests.of(*columns[34:36]),
        exclusions=Exclusions.of(*columns[36:39], action.tolist()),
        actions=tuple(tuple(each.split("\n")) for each in map(str, actions)),
        marks=Marks.of(*columns[40:44]),
        rulings=Rulings.of(*columns[27:33], author.tolist()),
        authors=tuple(map(str, authors)),
        seen=dict(zip(("at", "snapshot", "transaction"), map(_text, columns[44:47]), strict=True)),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
