"""Facts as they were known at some moment: one statement, each student at a moment of their own.

What was known is what had been heard by then and not yet superseded. Of attendance only what stands is kept, and every change
of a closed day with the value before it: the earliest change after that moment tells what was known.

A time alone cannot say what a decision saw: another transaction may have begun before it and committed after. So a moment may
bring the snapshot of PostgreSQL in which its facts were read; the time stays beside it, because a restored database counts its
transactions anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from mtss.models.reading import PLACES, facts_from, subscales_of
from mtss.rules import NEVER, Facts, Policies

_SEEN = (
    "({0}_at <= {1}.at AND coalesce(pg_visible_in_snapshot({0}_by, {1}.snapshot) OR {0}_by = {1}.transaction, true))"
)


def _known(of: str) -> str:
    """What had been heard at a moment, and not yet superseded."""
    superseded = _SEEN.format("superseded", of)
    return f"{_SEEN.format('known', of)} AND (superseded_at IS NULL OR NOT {superseded}) AND NOT deleted OFFSET 0"


# As the statement that reads what is known now; a school known at two times is two schools here.
_FACTS = sa.text(
    f"""
    WITH moment AS MATERIALIZED (
        SELECT moment, at, CAST(snapshot AS pg_snapshot) AS snapshot, CAST(transaction AS xid8) AS transaction
        FROM unnest(CAST(:times AS timestamptz[]), CAST(:snapshots AS text[]), CAST(:transactions AS text[]))
             WITH ORDINALITY AS given(at, snapshot, transaction, moment)
    ), asked AS MATERIALIZED (
        SELECT student_id, moment.*, (place - 1)::int AS student
        FROM unnest(CAST(:students AS uuid[]), CAST(:moments AS bigint[])) WITH ORDINALITY AS given(student_id, moment, place)
        JOIN moment USING (moment)
    ), enrolment AS MATERIALIZED (
        SELECT student, moment, e.* FROM asked, LATERAL (
            SELECT school_id, entry_on - DATE '1970-01-01' AS entry_day,
                   coalesce(exit_on - DATE '1970-01-01', {NEVER}) AS exit_day, is_primary::int AS is_primary,
                   coalesce(grade, '') AS grade
            FROM mtss_enrolment WHERE student_id = asked.student_id AND {_known("asked")}
        ) AS e
    ), school AS MATERIALIZED (
        SELECT school_id, moment.*, (row_number() OVER (ORDER BY school_id COLLATE "C", moment) - 1)::int AS school
        FROM (SELECT DISTINCT school_id, moment FROM enrolment) AS each JOIN moment USING (moment)
    )
    SELECT schools.*, enrolments.*, calendars.*, closed.*, absences.*, referrals.*, scores.*, rulings.*, help_requests.*, exclusions.*,
        marks.*, seen.*
    FROM (SELECT array_agg(school_id ORDER BY school) FROM school) AS schools,
    (
        SELECT array_agg(student), array_agg(school), array_agg(entry_day), array_agg(exit_day), array_agg(is_primary),
               array_agg(grade)
        FROM enrolment JOIN school USING (school_id, moment)
    ) AS enrolments,
    (
        SELECT array_agg(school), array_agg(c.school_year), array_agg(c.day)
        FROM school, LATERAL (
            SELECT school_year, day - DATE '1970-01-01' AS day FROM mtss_calendar, unnest(days) AS day
            WHERE school_id = school.school_id AND {_known("school")}
        ) AS c
    ) AS calendars,
    (
        SELECT array_agg(school), array_agg(c.day), array_agg(c.implied)
        FROM school, LATERAL (
            SELECT day - DATE '1970-01-01' AS day, implied::int AS implied FROM mtss_closed_day
            WHERE school_id = school.school_id AND {_known("school")}
        ) AS c
    ) AS closed,
    (
        SELECT array_agg(student), array_agg(school), array_agg(a.day), array_agg(a.hundredths),
               array_agg(array_position(CAST(:kinds AS text[]), a.kind) - 1)
        FROM asked, LATERAL (
            SELECT asked.moment, stands.school_id, stands.day - DATE '1970-01-01' AS day,
                   coalesce(later.before, stands.hundredths_absent) AS hundredths,
                   CASE WHEN later.revision IS NULL THEN stands.kind ELSE later.kind_before END AS kind
            FROM mtss_attendance AS stands LEFT JOIN LATERAL (
                SELECT revision, before, kind_before FROM mtss_attendance_change AS change
                WHERE change.student_id = stands.student_id AND change.school_id = stands.school_id
                  AND change.day = stands.day AND NOT {_SEEN.format("known", "asked")}
                ORDER BY revision LIMIT 1
            ) AS later ON true
            WHERE stands.student_id = asked.student_id OFFSET 0
        ) AS a JOIN school USING (school_id, moment) WHERE a.hundredths > 0 OR a.kind = 'tardy'
    ) AS absences,
    (
        SELECT array_agg(student), array_agg(i.day)
        FROM asked, LATERAL (
            SELECT min(day) - DATE '1970-01-01' AS day FROM (
                SELECT incident_id, day FROM mtss_incident
                WHERE student_id = asked.student_id AND {_known("asked")}
            ) AS known GROUP BY incident_id OFFSET 0
        ) AS i
    ) AS referrals,
    (
        SELECT array_agg(student), array_agg(s.day), array_agg(s.subscale), array_agg(s.mean), array_agg(s.answered),
               array_agg(s.items), array_agg(s.prorated)
        FROM asked, LATERAL (
            SELECT answered_on - DATE '1970-01-01' AS day,
                   array_position(CAST(:subscales AS text[]), each->>'subscale') - 1 AS subscale,
                   (each->>'mean')::float8 AS mean, (each->>'answered')::int AS answered, (each->>'items')::int AS items,
                   (each->>'prorated')::boolean::int AS prorated
            FROM (
                SELECT answered_on, scores FROM mtss_score WHERE student_id = asked.student_id AND {_known("asked")}
            ) AS known, jsonb_array_elements(scores) AS each
            WHERE each->>'subscale' = ANY(CAST(:subscales AS text[])) OFFSET 0
        ) AS s
    ) AS scores,
    (
        SELECT array_agg(student), array_agg(r.number), array_agg(array_position(CAST(:rulings AS text[]), r.kind) - 1),
               array_agg(array_position(CAST(:tiers AS text[]), r.tier) - 1), array_agg(r.day), array_agg(r.until),
               array_agg(r.by)
        FROM asked, LATERAL (
            SELECT number, kind, tier, made_on - DATE '1970-01-01' AS day,
                   coalesce(until - DATE '1970-01-01', {NEVER}) AS until, by
            FROM mtss_ruling WHERE student_id = asked.student_id AND {_SEEN.format("known", "asked")} OFFSET 0
        ) AS r
    ) AS rulings,
    (
        SELECT array_agg(student), array_agg(h.day)
        FROM asked, LATERAL (
            SELECT asked_on - DATE '1970-01-01' AS day FROM mtss_help_request
            WHERE student_id = asked.student_id AND {_SEEN.format("known", "asked")} OFFSET 0
        ) AS h
    ) AS help_requests,
    (
        SELECT array_agg(student), array_agg(x.day), array_agg(x.hundredths), array_agg(x.actions)
        FROM asked, LATERAL (
            SELECT day - DATE '1970-01-01' AS day, hundredths, actions FROM mtss_exclusion
            WHERE student_id = asked.student_id AND {_known("asked")}
        ) AS x
    ) AS exclusions,
    (
        SELECT array_agg(student), array_agg(m.day), array_agg(m.failing), array_agg(m.courses)
        FROM asked, LATERAL (
            SELECT day - DATE '1970-01-01' AS day, count(DISTINCT section_id) FILTER (WHERE failing)::int AS failing,
                   count(DISTINCT section_id)::int AS courses
            FROM (
                SELECT day, section_id, failing FROM mtss_mark
                WHERE student_id = asked.student_id AND {_known("asked")}
            ) AS known GROUP BY day OFFSET 0
        ) AS m
    ) AS marks, (SELECT NULL, NULL, NULL) AS seen
    """  # noqa: S608 (the only things filled in are constants of ours)
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, and for what a decision saw the snapshot and the transaction in which it was made."""

    at: datetime
    snapshot: str | None = None
    transaction: str | None = None


async def facts_known(session: AsyncSession, asked: Sequence[tuple[UUID, Moment]], policies: Policies) -> Facts:
    """All that was known of each student at the moment given with them; students are named by their place from here on.

    One student may be asked of at several moments.
    """
    moments = {moment: number for number, moment in enumerate(dict.fromkeys(moment for _, moment in asked), 1)}
    subscales = subscales_of(policies)
    given = {
        "students": [student for student, _ in asked],
        "moments": [moments[moment] for _, moment in asked],
        "times": [moment.at for moment in moments],
        "snapshots": [moment.snapshot for moment in moments],
        "transactions": [moment.transaction for moment in moments],
        **PLACES,
        "subscales": subscales,
    }
    return facts_from(len(asked), (await session.execute(_FACTS, given)).one(), subscales)
