"""What a source says it holds beside what stands here: by resource, school and day."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Annotated

import sqlalchemy as sa
from fastapi import Header
from sqlalchemy.ext.asyncio import AsyncSession

from common.runtime import Runtime
from sis.resources import DESCRIPTORS, Resource

ENROLMENT = "studentSchoolAssociations"
EVER, EVERYWHERE = date.max, ""
"""Stand for a count over all days, and over all schools. PostgreSQL calls that day infinity."""

Believed = Annotated[
    str | None,
    Header(
        alias="X-Total-Count", description="How many rows of this resource the source holds in all, as it believes."
    ),
]

_TELL = sa.text(
    """
    INSERT INTO sis_source_count (source, resource, school_id, day, count, told_at)
    SELECT :source, resource, school_id, day, count, clock_timestamp()
    FROM unnest(CAST(:resource AS text[]), CAST(:school_id AS text[]), CAST(:day AS date[]), CAST(:count AS bigint[]))
        AS given(resource, school_id, day, count)
    ORDER BY resource, school_id, day
    ON CONFLICT (source, resource, school_id, day) DO UPDATE SET count = excluded.count, told_at = excluded.told_at
    """
)
_SCHOOLS = "SELECT school_id FROM sis_document WHERE resource = 'schools' AND NOT deleted"
# Enrolment on a day is who is enrolled on it: entry and exit days count, exit on the day of entry is a no-show, and who is
# enrolled twice counts once. It goes up and down on a few days only, so a whole year is asked for in one pass; the
# empty name stands for all schools.
_ENROLLED = f"""
    spells AS (
        SELECT whole.school_id, unnest(range_agg(daterange(d.on_date, d.exit_on, '[]'))) AS during
        FROM (
            SELECT school_id, student_id, on_date, CAST(body ->> 'exitWithdrawDate' AS date) AS exit_on FROM sis_document
            WHERE resource = '{ENROLMENT}' AND NOT deleted
                AND EXISTS (SELECT FROM told WHERE told.resource = '{ENROLMENT}' AND told.day < 'infinity')
        ) AS d
        CROSS JOIN LATERAL (VALUES (d.school_id), ('')) AS whole(school_id)
        WHERE coalesce(d.exit_on, 'infinity') > d.on_date
        GROUP BY whole.school_id, d.student_id
    ), changes AS (
        SELECT school_id, day, sum(change) AS change FROM (
            SELECT school_id, lower(during) AS day, 1 AS change FROM spells
            UNION ALL
            SELECT school_id, upper(during), -1 FROM spells WHERE NOT upper_inf(during)
        ) AS each GROUP BY school_id, day
    ), enrolled AS (
        SELECT days.school_id, days.day, sum(changes.change) AS count
        FROM (SELECT DISTINCT school_id, day FROM asked WHERE resource = '{ENROLMENT}' AND day < 'infinity') AS days
        JOIN changes ON changes.school_id = days.school_id AND changes.day <= days.day
        GROUP BY days.school_id, days.day
    )
"""  # noqa: S608 (only constants of ours are filled in)
# Each way of counting rows stands alone, so that the index of schools and days serves those of one school.
_ROWS = "SELECT count(*) FROM sis_document AS d WHERE d.resource = asked.resource AND NOT d.deleted"
_OF_SCHOOL, _OF_DAY = "AND d.school_id = asked.school_id", "AND d.on_date = asked.day"
_OURS = f"""
    CASE
        WHEN asked.resource = '{ENROLMENT}' AND asked.day < 'infinity' THEN coalesce(enrolled.count, 0)
        WHEN asked.school_id = '' AND asked.day = 'infinity' THEN ({_ROWS})
        WHEN asked.school_id = '' THEN ({_ROWS} {_OF_DAY})
        WHEN asked.day = 'infinity' THEN ({_ROWS} {_OF_SCHOOL})
        ELSE ({_ROWS} {_OF_SCHOOL} {_OF_DAY})
    END
"""
# A school is another source's where that one pushes the resource, and is bound to the school or counts it, and this one
# neither is nor ever did: what it once counted and leaves out now is missing.
_OTHERS = """
    others AS MATERIALIZED (
        SELECT DISTINCT counting.source, counting.resource, held.school_id, pushing.source AS whose, pusher.name
        FROM (
            SELECT DISTINCT source, resource FROM sis_source_count
            WHERE (CAST(:source AS text) IS NULL OR source = :source) AND (CAST(:resource AS text) IS NULL OR resource = :resource)
                AND school_id <> ''
        ) AS counting
        JOIN (SELECT DISTINCT source, resource FROM sis_arrival WHERE accepted + unchanged > 0) AS pushing
            ON pushing.resource = counting.resource AND pushing.source <> counting.source
        LEFT JOIN sis_client AS pusher ON CAST(pusher.id AS text) = pushing.source
        LEFT JOIN sis_client AS own ON CAST(own.id AS text) = counting.source
        CROSS JOIN LATERAL (
            SELECT unnest(pusher.schools)
            UNION
            SELECT school_id FROM sis_source_count AS c
            WHERE (c.source, c.resource) = (pushing.source, pushing.resource) AND c.school_id <> ''
        ) AS held(school_id)
        WHERE pusher.revoked_at IS NULL AND NOT held.school_id = ANY (coalesce(own.schools, '{}')) AND NOT EXISTS (
            SELECT FROM sis_source_count AS c
            WHERE (c.source, c.resource, c.school_id) = (counting.source, counting.resource, held.school_id)
        )
    )
"""
# A source that counts by group names no school with nothing: a school that it leaves out on a day on which it counts
# others is compared as well, unless it is not its own.
_COMPARE = sa.text(
    f"""
    WITH told AS MATERIALIZED (
        SELECT source, resource, school_id, day, count FROM sis_source_count
        WHERE (CAST(:source AS text) IS NULL OR source = :source) AND (CAST(:resource AS text) IS NULL OR resource = :resource)
            AND (CAST(:school AS text) IS NULL OR school_id = :school) AND day BETWEEN :first AND :last
    ), {_OTHERS}, own AS (
        SELECT said.source, said.resource, schools.school_id
        FROM (SELECT DISTINCT source, resource FROM told WHERE school_id <> '') AS said
        LEFT JOIN sis_client AS client ON CAST(client.id AS text) = said.source
        JOIN ({_SCHOOLS}) AS schools ON client.schools IS NULL OR schools.school_id = ANY (client.schools)
        WHERE CAST(:school AS text) IS NULL OR schools.school_id = :school
        EXCEPT SELECT source, resource, school_id FROM others
    ), asked AS (
        SELECT source, resource, school_id, day, count FROM told
        UNION ALL
        SELECT source, resource, school_id, day, NULL FROM (
            SELECT days.source, days.resource, own.school_id, days.day
            FROM (SELECT DISTINCT source, resource, day FROM told WHERE school_id <> '') AS days
            JOIN own USING (source, resource)
            EXCEPT SELECT source, resource, school_id, day FROM told
        ) AS left_out
    ), {_ENROLLED}
    SELECT compared.* FROM (
        SELECT asked.source, asked.resource, asked.school_id, asked.day, asked.count AS theirs, {_OURS} AS ours
        FROM asked LEFT JOIN enrolled
            ON asked.resource = '{ENROLMENT}' AND (enrolled.school_id, enrolled.day) = (asked.school_id, asked.day)
        WHERE (asked.source, asked.resource, asked.school_id, asked.day)
            > (:after_source, :after_resource, :after_school, CAST(:after_day AS date))
        ORDER BY asked.source, asked.resource, asked.school_id, asked.day
    ) AS compared
    WHERE CASE WHEN :every THEN theirs IS NOT NULL OR ours > 0 ELSE coalesce(theirs, 0) <> ours END
    ORDER BY source, resource, school_id, day LIMIT :limit
    """  # noqa: S608 (only constants of ours are filled in)
)
_OF_OTHERS = sa.text(
    f"""
    WITH {_OTHERS} SELECT source, resource, school_id, whose, name FROM others
    WHERE CAST(:school AS text) IS NULL OR school_id = :school ORDER BY source, school_id, resource, whose
    """  # noqa: S608 (only constants of ours are filled in)
)
_BELIEVED = sa.text(
    """
    SELECT told.source, told.resource, told.count, (
        SELECT count(*) FROM sis_document AS d WHERE d.resource = told.resource AND NOT d.deleted
    ) AS ours
    FROM sis_source_count AS told
    WHERE told.school_id = '' AND told.day = 'infinity' AND (CAST(:source AS text) IS NULL OR told.source = :source)
    """
)
_ANY = sa.text("SELECT EXISTS (SELECT FROM sis_source_count)")

Key = tuple[str, str, date]
"""A resource, a school and a day."""
Place = tuple[str, str, str, date]
"""Where a page of comparisons ended: a source, a resource, a school and a day."""
START: Place = ("", "", "", date.min)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which counts are compared: of one resource, of one school, on the days from ``first`` to ``last``, both inclusive."""

    resource: str | None = None
    school: str | None = None
    first: date = date.min
    last: date = EVER


@dataclass(frozen=True, slots=True)
class Compared:
    """One count of a source beside ours; ``theirs`` is ``None`` where it left a school out."""

    source: str
    resource: str
    school_id: str
    day: date
    theirs: int | None
    ours: int

    @property
    def place(self) -> Place:
        """What orders comparisons."""
        return self.source, self.resource, self.school_id, self.day


@dataclass(frozen=True, slots=True)
class OfAnother:
    """A school that ``source`` does not count because another one pushes its rows of the resource; ``name`` if that is a client."""

    source: str
    resource: str
    school_id: str
    whose: str
    name: str | None


async def tell(session: AsyncSession, source: str, counts: Mapping[Key, int]) -> None:
    """Note how many rows the source says it holds; counts that it does not name stay."""
    keys = sorted(counts)
    columns = {
        "source": source,
        "resource": [resource for resource, _, _ in keys],
        "school_id": [school for _, school, _ in keys],
        "day": [day for _, _, day in keys],
        "count": [counts[key] for key in keys],
    }
    await session.execute(_TELL, columns)


async def believe(runtime: Runtime, source: str, resource: Resource, said: str | None) -> None:
    """Note the header with which a push says how many rows there are in all; anything but a number says nothing.

    Descriptors are not compared: more of them are listed here than anybody pushed.
    """
    if resource.name in DESCRIPTORS:
        return
    if said is not None and said.isascii() and said.isdigit() and len(said) <= 15:
        async with runtime.transaction() as session:
            await tell(session, source, {(resource.name, EVERYWHERE, EVER): int(said)})


async def believed(session: AsyncSession, source: str | None) -> dict[tuple[str, str], tuple[int, int]]:
    """By source and resource: how many rows the source says there are in all, and how many stand here."""
    rows = await session.execute(_BELIEVED, {"source": source})
    return {(of, resource): (theirs, ours) for of, resource, theirs, ours in rows}


async def any_told(session: AsyncSession) -> bool:
    """Whether any source has told a count."""
    return bool((await session.execute(_ANY)).scalar_one())


async def compare(
    session: AsyncSession,
    source: str | None,
    chosen: Chosen = Chosen(),
    *,
    after: Place = START,
    limit: int,
    every: bool = False,
) -> Sequence[Compared]:
    """Counts of the source, or of all, beside ours, in order; only those that differ, unless ``every``."""
    names = ("after_source", "after_resource", "after_school", "after_day")
    wanted = asdict(chosen) | dict(zip(names, after, strict=True))
    rows = await session.execute(_COMPARE, wanted | {"source": source, "limit": limit, "every": every})
    return [Compared(*row) for row in rows]


async def of_others(session: AsyncSession, source: str | None, chosen: Chosen = Chosen()) -> Sequence[OfAnother]:
    """Schools that the source, or each of all, leaves out because they are another one's: none of them is compared."""
    return [OfAnother(*row) for row in await session.execute(_OF_OTHERS, asdict(chosen) | {"source": source})]
