"""Closing school days: said by somebody, or by the clock; both are this."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import transaction_time
from common.errors import DomainError
from common.events import AttendanceRecorded, SchoolCalendarSet, SchoolDayClosed
from sis import facts
from sis.facts import Fact, FactKey, say
from sis.rules.closing import ClosedDay, days_to_close

_CALENDARS = sa.text("SELECT state FROM sis_fact WHERE type = :type AND school_id = :school AND NOT deleted")
_CLOSED = sa.text("SELECT on_date FROM sis_fact WHERE type = :type AND school_id = :school AND NOT deleted")
_WITH_ROWS = sa.text(
    """
    SELECT wanted.on_date FROM unnest(CAST(:days AS date[])) AS wanted(on_date)
    WHERE EXISTS (
        SELECT FROM sis_fact WHERE type = :type AND school_id = :school AND NOT deleted AND sis_fact.on_date = wanted.on_date
    )
    """
)
# One look into the index for each school, however many rows there are.
_DUE = sa.text(
    """
    SELECT school.school_id, newest.on_date AS through FROM sis_document AS school
    CROSS JOIN LATERAL (
        SELECT on_date FROM sis_fact
        WHERE type = :attendance AND sis_fact.school_id = school.school_id AND NOT deleted AND on_date <= :latest
        ORDER BY on_date DESC LIMIT 1
    ) AS newest
    LEFT JOIN LATERAL (
        SELECT on_date FROM sis_fact
        WHERE type = :closed AND sis_fact.school_id = school.school_id AND NOT deleted ORDER BY on_date DESC LIMIT 1
    ) AS last ON true
    WHERE school.resource = 'schools' AND NOT school.deleted AND (last.on_date IS NULL OR last.on_date < newest.on_date)
    ORDER BY school.school_id
    """
)
# Leases begin side by side, but only once the clock has come to rest: it keeps its lock until the days are closed.
_AT_REST = sa.text("SELECT pg_advisory_xact_lock_shared(hashtext('sis closing clock'))")
_MOVING = sa.text("SELECT pg_advisory_xact_lock(hashtext('sis closing clock'))")
_HOLD_STILL = sa.text(
    """
    INSERT INTO sis_lease (id, until) VALUES (:id, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (id) DO UPDATE SET until = excluded.until RETURNING until
    """
)
_LET_GO = sa.text("DELETE FROM sis_lease WHERE id = :id")
_FORGET_RUN_OUT = sa.text("DELETE FROM sis_lease WHERE until <= clock_timestamp()")
_NOBODY_HOLDS = sa.text("SELECT NOT EXISTS (SELECT FROM sis_lease)")


class NoInstructionalDay(DomainError):
    """The calendar of this school has no instructional day on or before this day."""


@dataclass(frozen=True, slots=True)
class Closed:
    """What closing came to."""

    through: date
    days: int
    implied: int


async def close_days(session: AsyncSession, school: str, through: date, *, said: bool) -> Closed:
    """Close the school's instructional days up to and including ``through``; those closed before stay as they are.

    Raises:
        NoInstructionalDay: there is none to close.
    """
    at = await transaction_time(session)
    instructional = await _instructional(session, school)
    closed = await _closed(session, school)
    with_rows = await _with_rows(session, school, instructional - closed)
    due = days_to_close(instructional, through=through, closed=closed, with_rows=with_rows, said=said)
    spoken = await _say_closed(session, at, school, due)
    every = [*closed, *(day.on for day in due)]
    if not every:
        raise NoInstructionalDay
    return Closed(max(every), len(spoken), sum(day.implied for day in spoken))


async def schools_due(session: AsyncSession, latest: date) -> Sequence[tuple[str, date]]:
    """Schools with attendance rows after their last closed day, and the newest day with rows, up to ``latest``."""
    rows = await session.execute(
        _DUE, {"attendance": AttendanceRecorded.type(), "closed": SchoolDayClosed.type(), "latest": latest}
    )
    return [(row.school_id, row.through) for row in rows]


async def hold_clock(session: AsyncSession, lease: UUID, seconds: int) -> datetime:
    """Keep the clock still for ``seconds`` from now by the database's clock; returns until when this lease lasts."""
    await session.execute(_AT_REST)
    until: datetime = (await session.execute(_HOLD_STILL, {"id": lease, "seconds": seconds})).scalar_one()
    return until


async def let_go_of_clock(session: AsyncSession, lease: UUID) -> None:
    """End this lease; the clock stays still while there is another."""
    await session.execute(_LET_GO, {"id": lease})


async def clock_may_move(session: AsyncSession) -> bool:
    """Whether nobody holds the clock; nobody can until this transaction ends."""
    await session.execute(_MOVING)
    await session.execute(_FORGET_RUN_OUT)
    return bool((await session.execute(_NOBODY_HOLDS)).scalar_one())


async def _instructional(session: AsyncSession, school: str) -> set[date]:
    states = await session.execute(_CALENDARS, {"type": SchoolCalendarSet.type(), "school": school})
    return {date.fromisoformat(day) for state in states.scalars() for day in state["instructional_days"]}


async def _closed(session: AsyncSession, school: str) -> set[date]:
    return set((await session.execute(_CLOSED, {"type": SchoolDayClosed.type(), "school": school})).scalars())


async def _with_rows(session: AsyncSession, school: str, days: set[date]) -> set[date]:
    wanted = {"type": AttendanceRecorded.type(), "school": school, "days": list(days)}
    return set((await session.execute(_WITH_ROWS, wanted)).scalars())


async def _say_closed(
    session: AsyncSession, at: datetime, school: str, due: Sequence[ClosedDay]
) -> list[SchoolDayClosed]:
    shall = {(school, day.on): _fact(school, day) for day in due}

    async def resolve(standing: facts.Standing) -> dict[FactKey, Fact]:
        return {key: standing.get(key, fact) for key, fact in shall.items()}

    return await say(session, at, SchoolDayClosed, shall.keys(), resolve)


def _fact(school: str, day: ClosedDay) -> Fact:
    return Fact({"school_id": school, "on": day.on.isoformat(), "implied": day.implied})
