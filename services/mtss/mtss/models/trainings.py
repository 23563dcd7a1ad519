"""The table of who of the staff was trained in what, and how it is written and read: one statement each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field

from common.db import Table
from mtss.models.tables import moment


class Training(Table, table=True):
    """A member of staff took part in a training on a day. What was recorded by mistake is withdrawn, and stays."""

    __tablename__ = "mtss_training"
    __table_args__ = (
        sa.Index(
            "mtss_training_stands",
            *("staff_id", "training", "trained_on"),
            unique=True,
            postgresql_where=sa.text("withdrawn_at IS NULL"),
        ),
    )

    id: UUID = Field(primary_key=True, default_factory=uuid_utils.uuid7)
    staff_id: UUID
    training: str
    """Its name in the district's catalogue."""
    trained_on: date
    by: str
    known_at: datetime = moment()
    withdrawn_at: datetime | None = moment(nullable=True)
    withdrawn_by: str | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """A member of staff, and the last day of each training that stands: its id, its name and the day."""

    staff_id: UUID
    last: Sequence[tuple[UUID, str, date]]


_OPEN = "NOT deleted AND begin_on <= :today AND coalesce(end_on, 'infinity') >= :today"
_UNKNOWN = sa.text(
    """
    SELECT place FROM unnest(CAST(:staff AS uuid[])) WITH ORDINALITY AS asked(staff_id, place)
    WHERE NOT EXISTS (SELECT FROM scope_assignment AS a WHERE a.staff_id = asked.staff_id AND NOT a.deleted) ORDER BY place
    """
)
_RECORD = sa.text(
    """
    WITH recorded AS (
        INSERT INTO mtss_training (id, staff_id, training, trained_on, by, known_at)
        SELECT id, staff_id, :training, :trained_on, :by, now()
        FROM unnest(CAST(:ids AS uuid[]), CAST(:staff AS uuid[])) AS asked(id, staff_id)
        ON CONFLICT (staff_id, training, trained_on) WHERE withdrawn_at IS NULL DO NOTHING
        RETURNING id
    )
    SELECT count(*)::int FROM recorded
    """
)
_AT_SCHOOL = f"SELECT DISTINCT staff_id FROM scope_assignment WHERE school_id = :school AND {_OPEN}"  # noqa: S608 (made of our own words only)
_LAST = """
    SELECT DISTINCT ON (training) id, training, trained_on FROM mtss_training AS t
    WHERE t.staff_id = s.staff_id AND withdrawn_at IS NULL ORDER BY training, trained_on DESC
"""
_LIST = sa.text(
    f"""
    SELECT s.staff_id, t.id, t.training, t.trained_on
    FROM ({_AT_SCHOOL} AND staff_id > :after ORDER BY staff_id LIMIT :most) AS s LEFT JOIN LATERAL ({_LAST}) AS t ON true
    ORDER BY s.staff_id, t.training
    """  # noqa: S608 (the same)
)
_COUNT = sa.text(
    f"""
    SELECT (SELECT count(*)::int FROM ({_AT_SCHOOL}) AS s), named.training, count(t.training)::int
    FROM unnest(CAST(:trainings AS text[]), CAST(:since AS date[])) AS named(training, since)
    LEFT JOIN (
        SELECT t.training, t.trained_on FROM ({_AT_SCHOOL}) AS s CROSS JOIN LATERAL ({_LAST}) AS t
    ) AS t ON t.training = named.training AND t.trained_on >= named.since
    GROUP BY named.training ORDER BY named.training COLLATE "C"
    """  # noqa: S608 (the same)
)


async def unknown_staff(session: AsyncSession, staff: Sequence[UUID]) -> Sequence[int]:
    """The places, from 1, of those whom the SIS has assigned to nothing."""
    return (await session.scalars(_UNKNOWN, {"staff": staff})).all()


async def record_training(session: AsyncSession, training: str, on: date, staff: Sequence[UUID], by: str) -> int:
    """Record that all of them were trained; of how many it was not known."""
    given = {"ids": [uuid_utils.uuid7() for _ in staff], "staff": staff, "training": training}
    return int((await session.execute(_RECORD, given | {"trained_on": on, "by": by})).scalar_one())


async def trained_at(session: AsyncSession, school: str, today: date, after: UUID | None, most: int) -> list[Trained]:
    """Who works at a school today, by their id, at most so many, each with what they were last trained in."""
    given = {"school": school, "today": today, "after": after or UUID(int=0), "most": most}
    found: dict[UUID, list[tuple[UUID, str, date]]] = {}
    for staff_id, identity, training, on in await session.execute(_LIST, given):
        found.setdefault(staff_id, []).extend([(identity, training, on)] if identity else [])
    return [Trained(staff_id, last) for staff_id, last in found.items()]


async def count_trained(
    session: AsyncSession, school: str, today: date, since: Sequence[tuple[str, date]]
) -> list[tuple[int, str, int]]:
    """For each training and the day from which on it holds: how many work at the school today, its name, how many of them hold it."""
    names, days = zip(*since, strict=True)
    given = {"school": school, "today": today, "trainings": list(names), "since": list(days)}
    return [(staff, name, held) for staff, name, held in await session.execute(_COUNT, given)]
