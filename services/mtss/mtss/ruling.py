"""Rulings: what a person decides about a student is kept, and what follows from it is decided in the same transaction."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.db import transaction_time
from common.events import Tier
from common.preconditions import etag_of
from common.sealed import Vault
from mtss.deciding import Touched, reassess
from mtss.models import Ruling, Student, policy_in_force
from mtss.rules.reviewing import Flapping, Line, flapping

_SCHOOL_DAYS = sa.text(
    """
    SELECT DISTINCT day FROM mtss_calendar, unnest(days) AS day
    WHERE school_id = :school AND superseded_at IS NULL AND NOT deleted AND day >= :since ORDER BY day
    """
)
_STEPS = sa.text(
    """
    SELECT student_id, tier, tier_before, effective_on FROM mtss_decision
    WHERE student_id = ANY(CAST(:students AS uuid[])) AND effective_on >= :since
    """
)
_REASON = {"table": "mtss_ruling", "column": "reason"}


_RULED = sa.text(
    """
    SELECT (SELECT max(number) FROM mtss_ruling WHERE student_id = :student),
           (SELECT coalesce(sum(attempts), 0) FROM mtss_support WHERE student_id = :student)
    """
)


async def version_of(session: AsyncSession, student: Student) -> str:
    """The ETag of what was decided about a student, by rules and by people, what is open and what was tried.

    It is what who decides names in ``If-Match``.
    """
    ruled = (await session.execute(_RULED, {"student": student.student_id})).one()
    return etag_of(student.student_id, student.decision_id, student.proposal_id, *ruled)


async def rule(session: AsyncSession, vault: Vault, student: Student, reason: str, **said: Any) -> Ruling:
    """Keep what was decided about a student who is locked, and decide what follows from it."""
    numbers = sa.select(sa.func.coalesce(sa.func.max(Ruling.number), 0) + 1)
    number = (await session.scalars(numbers.where(col(Ruling.student_id) == student.student_id))).one()
    known_at = await transaction_time(session)
    ruling = Ruling(student_id=student.student_id, number=number, known_at=known_at, **said)
    ruling.reason = vault.seal(reason, row=ruling.id, **_REASON)
    session.add(ruling)
    await session.flush()
    await reassess(session, Touched(school={student.student_id}))
    await session.refresh(student)
    return ruling


def reason_of(vault: Vault, ruling: Ruling) -> str:
    """What the person wrote."""
    return vault.open(ruling.reason, row=ruling.id, **_REASON)


async def supported_at(session: AsyncSession, student_id: UUID, at: datetime) -> bool:
    """Whether a support of a student ran at a time, so that no tier of theirs ended by itself."""
    mine = col(Ruling.student_id) == student_id, col(Ruling.known_at) <= at
    begun = sa.func.count().filter(col(Ruling.kind) == "support_begun")
    ended = sa.func.count().filter(col(Ruling.kind) == "support_ended")
    return bool(await session.scalar(sa.select(begun > ended).where(*mine)))


async def school_days(session: AsyncSession, school_id: str, since: date) -> Sequence[date]:
    """The instructional days of a school from a day on, ascending."""
    return (await session.scalars(_SCHOOL_DAYS, {"school": school_id, "since": since})).all()


async def days_within(session: AsyncSession, name: str, today: date) -> int:
    """How many days the policy of today gives people for something, by its name in ``review``."""
    return int((await policy_in_force(session, today)).review[name].value)


async def flapping_of(session: AsyncSession, students: Sequence[UUID], today: date) -> Mapping[UUID, Flapping]:
    """How often the tier of each student went up and down within the days that the policy says."""
    since = today - timedelta(days=await days_within(session, "flapping_within", today))
    lines: dict[UUID, list[Line]] = {student: [] for student in students}
    for student, tier, before, on in await session.execute(_STEPS, {"students": students, "since": since}):
        lines[student].append(Line(tier and Tier(tier), before and Tier(before), on))
    return {student: flapping(its, since) for student, its in lines.items()}
