"""What waits for a person, handed over to another: one way for all that a queue holds, silences and equity alerts."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import visible_to
from common.app import Router
from common.audit.writing import about
from common.auth import Principal
from common.db import Session, transaction_time
from common.errors import Invalid, NotFound
from common.idempotency import ONCE
from common.preconditions import IfMatch, check_seen, etag_of
from common.runtime import RuntimeOf, Today
from common.scope import EVERYTHING, Sight, access_policy, see_as, see_student, seen
from common.sealed import Vault
from mtss.models import Decision, Handover, HelpRequest, Ruling, Student, Support, TeamReferral, ended_by_itself
from mtss.models.monthly import EquityAlert
from mtss.numbers import ENDED_DAYS
from mtss.routes.desk import DECIDED, Decider, OfStudent, Reasoned, Row
from mtss.routes.pulses import follow_ups
from mtss.silence import silences
from mtss.supports import CATALOGUE

router = Router("mtss")

_SEALED = {"table": "mtss_handover", "column": "reason"}
_ONE_AFTER_THE_OTHER = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:review, 0))")
# What is of the whole district is anybody's who works at a school of it.
_SEES = sa.text(
    """
    SELECT CASE WHEN CAST(:student AS uuid) IS NULL
        THEN EXISTS (SELECT FROM scope_school WHERE school_id = coalesce(CAST(:school AS text), school_id))
        ELSE EXISTS (SELECT FROM scope_sight WHERE student_id = CAST(:student AS uuid)) END
    """
)
_DECIDES_NOTHING = sa.text(
    """
    SELECT bool_and(classification = ANY(CAST(:classifications AS text[]))) FROM scope_assignment
    WHERE staff_id = :staff AND NOT deleted AND begin_on <= :today AND coalesce(end_on, 'infinity') >= :today
    """
)
_DECIDE = ("principal", "counselor")
_WORK = (*_DECIDE, "facilitator", "teacher")


class HandoverDocument(BaseModel):
    """Who has it, from whom, and why."""

    staff_id: UUID
    by: str
    at: datetime
    reason: str


Assigned = Annotated[HandoverDocument | None, Field(description="Null: nobody in particular.")]


class HandoverNow(BaseModel):
    """Who has what waits."""

    assigned: Assigned


class HandoverAsked(Reasoned):
    """To whom, and why."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"staff_id": "0190f6a8-0000-7000-8000-000000000001", "reason": "She knows the family well."}
        }
    )

    staff_id: UUID


@dataclass(frozen=True, slots=True)
class Waits:
    """Of which student and school something is; an equity alert is of neither."""

    student_id: UUID | None = None
    school_id: str | None = None
    works: bool = False
    """Whether who has it works on it whatever their role; otherwise who decides does."""


@router.get("/v1/reviews/{review_id}/hand-over")
async def read_hand_over(
    review_id: UUID, who: Decider, session: Session, runtime: RuntimeOf, today: Today, response: Response
) -> HandoverNow:
    """Who has something that waits. Its ETag goes into If-Match of who hands it over."""
    await _waiting(session, who, review_id, today)
    now = HandoverNow(assigned=(await handed(session, runtime.vault, [review_id])).get(review_id))
    response.headers["ETag"] = _version_of(review_id, now)
    return now


@router.post("/v1/reviews/{review_id}/hand-over", status_code=201, dependencies=[ONCE])
async def hand_over_review(
    review_id: UUID,
    asked: HandoverAsked,
    who: Decider,
    session: Session,
    runtime: RuntimeOf,
    today: Today,
    response: Response,
    expected: IfMatch = None,
) -> HandoverDocument:
    """Hand something that waits to a member of staff who sees the student there, or works at the school.

    What is for who decides goes to nobody who works there as a teacher alone, by the classifications of the district's policy.

    If-Match names the ETag of who has it.

    Raises:
        Invalid: they do not.
    """
    waits = await _waiting(session, who, review_id, today)
    await session.execute(_ONE_AFTER_THE_OTHER, {"review": str(review_id)})
    before = (await handed(session, runtime.vault, [review_id])).get(review_id)
    check_seen(expected, _version_of(review_id, HandoverNow(assigned=before)))
    await check_sees(session, "staff_id", asked.staff_id, waits, today)
    given = await hand(session, runtime.vault, waits, asked.staff_id, asked.reason, review_id=review_id, by=who.subject)
    response.headers["ETag"] = _version_of(review_id, HandoverNow(assigned=given))
    return given


async def check_sees(session: AsyncSession, field: str, staff_id: UUID, waits: Waits, today: date) -> None:
    """Nothing, if something that waits may be given to a member of staff.

    Which role somebody has is known only of who asks: so they must see the student on a ground of one of the roles that open it,
    and where the SIS knows them as teachers alone, on one that no teacher has, which is said of the student and not of the school.

    Raises:
        Invalid: they do not.
    """
    sight = _sight_of(staff_id, waits.works, today)
    if waits.student_id and not waits.works and await _decides_nothing(session, staff_id, today):
        # By a section, a grade or a caseload a teacher sees the student as a teacher.
        sight = replace(sight, grounds=sight.grounds - {"school", *access_policy().grounds["teacher"]})
    await see_as(session, sight)
    sees = await session.scalar(_SEES, {"student": waits.student_id, "school": waits.school_id})
    await see_as(session)
    if not sees:
        also = "" if waits.works else ", as somebody who decides there,"
        raise Invalid(
            field=field, rule=f"must be assigned to the school{also} or related to the student where they work"
        )


async def _decides_nothing(session: AsyncSession, staff_id: UUID, today: date) -> bool:
    """Whether all that somebody works as today decides about no student; of who has no assignment nothing is known."""
    await see_as(session, EVERYTHING)
    given = {"staff": staff_id, "today": today, "classifications": CATALOGUE.decide_nothing}
    return bool(await session.scalar(_DECIDES_NOTHING, given))


def _sight_of(staff_id: UUID, works: bool, today: date) -> Sight:
    grounds = access_policy().grounds
    some = frozenset[str]().union(*(grounds[role] for role in (_WORK if works else _DECIDE)))
    return Sight(some - {"district"}, staff_id, today=today)


async def find(
    session: AsyncSession, who: Principal, of: type[Row], row_id: UUID, what: str, today: date, *, lock: bool = False
) -> Row:
    """A row about a student whom ``who`` sees and decides about, or one that they have; see :func:`theirs`.

    Of one that they have this transaction sees the student from here on, and nobody else besides.

    Raises:
        NotFound: neither.
    """
    asked = sa.select(of).where(col(of.id) == row_id)
    asked = asked.with_for_update() if lock else asked
    found = None
    if who.reads.issuperset(DECIDED):
        found = (await session.scalars(asked.where(visible_to(who, col(of.student_id))))).one_or_none()
    if found is None:
        async with theirs(session, who, of, today) as mine:
            found = (await session.scalars(asked.where(*mine))).one_or_none()
        if found is None:
            raise NotFound(what=what)
        await see_student(session, found.student_id)
    return found


@asynccontextmanager
async def theirs(
    session: AsyncSession, who: Principal, of: type[OfStudent], today: date
) -> AsyncIterator[Sequence[sa.ColumnElement[bool]]]:
    """Which rows ``who`` has: they were last handed to them, and they see the student on a ground of any role.

    Only within does the transaction see students on these grounds: ask there for these rows and what hangs on them, for nothing else.
    """
    if who.staff_id is None:
        yield (sa.false(),)
        return
    await see_as(session, _sight_of(who.staff_id, True, today))
    ever = sa.select(col(Handover.review_id)).where(col(Handover.staff_id) == who.staff_id)
    last = sa.select(col(Handover.staff_id)).where(col(Handover.review_id) == of.id).order_by(col(Handover.id).desc())
    yield col(of.id).in_(ever), last.limit(1).scalar_subquery() == who.staff_id, seen(col(of.student_id))
    await see_as(session)


async def hand(
    session: AsyncSession, vault: Vault, waits: Waits, staff_id: UUID, reason: str, *, review_id: UUID, by: str
) -> HandoverDocument:
    """Give something that waits to a member of staff."""
    handed = Handover(
        review_id=review_id,
        student_id=waits.student_id,
        school_id=None if waits.student_id else waits.school_id,  # a student takes it along to another school
        staff_id=staff_id,
        by=by,
        at=await transaction_time(session),
    )
    handed.reason = vault.seal(reason, row=handed.id, **_SEALED)
    session.add(handed)
    return _shown(vault, handed)


async def handed(session: AsyncSession, vault: Vault, reviews: Sequence[UUID]) -> Mapping[UUID, HandoverDocument]:
    """Who has each of these, where it was handed over."""
    asked = sa.select(Handover).where(col(Handover.review_id).in_(reviews)).order_by(col(Handover.id))
    return {each.review_id: _shown(vault, each) for each in await session.scalars(asked)}


def _version_of(review_id: UUID, now: HandoverNow) -> str:
    return etag_of(review_id, now.model_dump_json())


async def _waiting(session: AsyncSession, who: Principal, review_id: UUID, today: date) -> Waits:
    """What waits under this id, of what ``who`` sees."""
    for waits in await _of_student(session, who, review_id, today):
        about(waits.student_id)
        return waits
    open_alert = col(EquityAlert.id) == review_id, col(EquityAlert.found_at).is_(None)
    if who.role == "district" and await session.scalar(sa.select(sa.exists().where(*open_alert))):
        return Waits()
    for each in await silences(session, who, today):
        if each.id == review_id:
            return Waits(school_id=each.school_id)
    raise NotFound(what="review")


async def _of_student(session: AsyncSession, who: Principal, review_id: UUID, today: date) -> Sequence[Waits]:
    """What waits under this id of a student whom ``who`` sees: one or nothing."""
    standing = sa.and_(col(Ruling.student_id) == col(Student.student_id), col(Ruling.number) == col(Student.ruling))
    decided = sa.or_(
        col(Student.question_id) == review_id,
        col(Student.proposal_id) == review_id,
        sa.exists().where(col(Ruling.id) == review_id, col(Ruling.kind) == "overridden", standing),
        _waits(HelpRequest, review_id, col(HelpRequest.answered_on)),
        sa.exists().where(col(Decision.id) == review_id, ended_by_itself(today, ENDED_DAYS)),
    )
    worked = sa.or_(
        _waits(Support, review_id, col(Support.ended_on)), _waits(TeamReferral, review_id, col(TeamReferral.met_on))
    )
    mine = visible_to(who, col(Student.student_id))
    asked = sa.select(col(Student.student_id), col(Student.school_id), worked).where(mine, sa.or_(decided, worked))
    found = [Waits(*row) for row in await session.execute(asked)]
    if found:
        return found
    followed = await follow_ups(session, (mine, col(Student.student_id) == review_id))
    asked = sa.select(col(Student.student_id), col(Student.school_id), sa.false())
    some = asked.where(col(Student.student_id).in_([each.student_id for each in followed]))
    return [Waits(*row) for row in await session.execute(some)]


def _waits(of: type[OfStudent], review_id: UUID, closed: Any) -> sa.ColumnElement[bool]:
    return sa.exists().where(col(of.id) == review_id, col(of.student_id) == col(Student.student_id), closed.is_(None))


def _shown(vault: Vault, handed: Handover) -> HandoverDocument:
    reason = vault.open(handed.reason, row=handed.id, **_SEALED)
    return HandoverDocument(staff_id=handed.staff_id, by=handed.by, at=handed.at, reason=reason)
