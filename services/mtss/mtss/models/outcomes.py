"""What came of supports: the same students before and after, and beside them those who were decided to need some and had none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

MEASURES: Mapping[str, str] = {"missed": ":days", "referrals": "1", "injuries": "1", "damages": "1"}
"""What is counted of each student and day, and by what its sum is divided; ``missed`` in hundredths of a day."""


def _each(columns: str) -> str:
    """These columns for each measure, by its name and divisor."""
    return ", ".join(columns.format(name, divisor) for name, divisor in MEASURES.items())


_GIVEN = """
    given AS (
        SELECT kind, student_id, min(begun_on) AS at FROM mtss_support GROUP BY kind, student_id
        UNION ALL
        (SELECT DISTINCT ON (student_id) NULL, student_id, effective_on FROM mtss_decision WHERE tier <> :lowest ORDER BY student_id, number)
    )"""
# A student counts once for each kind, with as many days of theirs on either side as are compared, or not at all. Who was decided into a
# tier of more support is compared around the day on which that first took effect if no support of theirs had begun by the last day
# compared: whether they got out of the tier since or not, for otherwise those who got better by themselves would be left out.
# Each LATERAL keeps to the indexes, also right after a district's whole past was loaded and PostgreSQL knows nothing of it yet.
_COMPARED = sa.text(
    f"""
    WITH {_GIVEN}, attended AS (
        SELECT g.kind, g.student_id, g.at, one.day, one.missed FROM given AS g CROSS JOIN LATERAL (
            SELECT DISTINCT ON (c.day) c.day, coalesce(a.hundredths_absent, 0) AS missed FROM mtss_enrolment AS e
            CROSS JOIN LATERAL (
                SELECT day FROM mtss_closed_day WHERE school_id = e.school_id AND superseded_at IS NULL AND NOT deleted
                  AND day BETWEEN greatest(e.entry_on, g.at - 4 * :days) AND least(coalesce(e.exit_on, 'infinity'), g.at + 4 * :days) OFFSET 0
            ) AS c
            LEFT JOIN mtss_attendance AS a ON a.student_id = g.student_id AND a.school_id = e.school_id AND a.day = c.day
            WHERE e.student_id = g.student_id AND e.superseded_at IS NULL AND NOT e.deleted
            ORDER BY c.day, e.is_primary DESC, e.entry_on DESC, e.school_id COLLATE "C" DESC OFFSET 0
        ) AS one
    ), mine AS (
        SELECT *, row_number() OVER (PARTITION BY kind, student_id, at, day < at ORDER BY abs(day - at)) AS place
        FROM attended AS d CROSS JOIN LATERAL (
            SELECT count(DISTINCT incident_id) AS referrals, count(DISTINCT incident_id) FILTER (WHERE injury) AS injuries,
                   count(DISTINCT incident_id) FILTER (WHERE damage) AS damages
            FROM mtss_incident AS i
            WHERE i.student_id = d.student_id AND i.day = d.day AND i.superseded_at IS NULL AND NOT i.deleted
        ) AS of_day
    ), one AS (
        SELECT kind, student_id, max(day) AS through, count(*) FILTER (WHERE day < at) AS before, count(*) FILTER (WHERE day >= at) AS after,
               {_each("sum({0}) FILTER (WHERE day < at) AS {0}_before, sum({0}) FILTER (WHERE day >= at) AS {0}_after")}
        FROM mine WHERE place <= :days GROUP BY kind, student_id, at
    )
    SELECT kind, count(*)::int, {_each("round(avg({0}_before) / {1}, 1)::float8, round(avg({0}_after) / {1}, 1)::float8")},
           {_each("count(*) FILTER (WHERE {0}_before > 0)::int, count(*) FILTER (WHERE {0}_after > 0)::int")}
    FROM one WHERE before = :days AND after = :days AND (kind IS NOT NULL OR NOT EXISTS (
        SELECT FROM mtss_support AS s WHERE s.student_id = one.student_id AND s.begun_on <= one.through
    )) GROUP BY kind ORDER BY kind
    """  # noqa: S608 (made of our own words only)
)


def _survey(order: str, between: str) -> str:
    return f"""
        SELECT s.instrument, s.answered_on, CAST(said ->> 'mean' AS numeric) AS mean
        FROM mtss_score AS s CROSS JOIN LATERAL jsonb_array_elements(s.scores) AS said
        WHERE s.student_id = g.student_id AND s.superseded_at IS NULL AND NOT s.deleted AND said ->> 'subscale' = :subscale AND {between}
        ORDER BY s.answered_on {order}, s.window_id LIMIT 1"""  # noqa: S608 (the same)


# The same students and days; who had none is compared up to a survey before which no support of theirs had begun.
_SURVEYED = sa.text(
    f"""
    WITH {_GIVEN}, asked AS (
        SELECT g.kind, g.student_id, before.mean AS before, after.mean AS after, after.answered_on AS through FROM given AS g
        CROSS JOIN LATERAL ({_survey("DESC", "s.answered_on < g.at AND s.answered_on >= g.at - CAST(:within AS int)")}) AS before
        CROSS JOIN LATERAL (
            {_survey("ASC", "s.instrument = before.instrument AND s.answered_on BETWEEN g.at AND g.at + CAST(:within AS int)")}
        ) AS after
    )
    SELECT kind, count(*)::int, round(avg(before), 2)::float8, round(avg(after), 2)::float8 FROM asked
    WHERE kind IS NOT NULL OR NOT EXISTS (
        SELECT FROM mtss_support AS s WHERE s.student_id = asked.student_id AND s.begun_on <= asked.through
    ) GROUP BY kind
    """  # noqa: S608 (the same)
)


_SPLIT = 2 + 2 * len(MEASURES)
"""Where the averages of a row end, and of how many it was not 0 begins."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Of the students who received a kind of support (``None``: none) what was so before and after, on average."""

    kind: str | None
    students: int
    averages: tuple[float, ...]
    """Of each measure before and after, to one decimal place: percent of days missed, then how many for each student."""
    of_whom: tuple[int, ...]
    """For each of how many students it was not 0."""
    surveyed: int
    """How many with that kind of support answered a survey before and one after."""
    means: tuple[float, ...]
    """Of these the mean before and after."""


async def compared(
    session: AsyncSession, days: int, lowest: str, subscale: str, within_days: int
) -> Sequence[Compared]:
    """Each kind of support that anybody has received, over so many days on either side of its first; two statements."""
    asked = {"lowest": lowest, "subscale": subscale, "within": within_days}
    surveyed = {row[0]: (row[1], tuple(row[2:])) for row in await session.execute(_SURVEYED, asked)}
    found = await session.execute(_COMPARED, {"days": days, "lowest": lowest})
    return [
        Compared(row[0], row[1], tuple(row[2:_SPLIT]), tuple(row[_SPLIT:]), *surveyed.get(row[0], (0, ())))
        for row in found
    ]
