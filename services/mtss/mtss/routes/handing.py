"""What waits for a person, handed over to another: one way for all that a queue holds, silences and equity alerts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import visible_to
from common.app import Router
from common.auth import Principal
from common.db import Session, transaction_time
from common.errors import Invalid, NotFound
from common.idempotency import ONCE
from common.preconditions import IfMatch, check_seen, etag_of
from common.runtime import RuntimeOf, Today
from common.scope import see_all
from common.sealed import Vault
from mtss.models import Handover, HelpRequest, Proposal, Ruling, Student, Support, TeamReferral
from mtss.models.monthly import EquityAlert
from mtss.routes.desk import Decider, Reasoned
from mtss.silence import silences

router = Router("mtss")

_SEALED = {"table": "mtss_handover", "column": "reason"}
_ONE_AFTER_THE_OTHER = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:review, 0))")
# What is of the whole district is anybody's who works at a school of it.
_WORKS_THERE = sa.text(
    """
    SELECT EXISTS (
        SELECT FROM scope_assignment AS a WHERE a.staff_id = :staff AND a.school_id = coalesce(CAST(:school AS text), a.school_id)
        AND NOT a.deleted AND a.begin_on <= :today AND coalesce(a.end_on, 'infinity') >= :today
    ) OR EXISTS (
        SELECT FROM scope_relation AS r WHERE r.staff_id = :staff AND r.student_id = CAST(:student AS uuid) AND NOT r.deleted
        AND r.begin_on <= :today AND coalesce(r.end_on, 'infinity') >= :today
    )
    """
)


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
    """Of which student and school it is; an equity alert is of neither."""

    student_id: UUID | None = None
    school_id: str | None = None


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
    """Hand something that waits to a member of staff who works at the school, or answers for the student.

    If-Match names the ETag of who has it.

    Raises:
        Invalid: they do neither.
    """
    waits = await _waiting(session, who, review_id, today)
    await session.execute(_ONE_AFTER_THE_OTHER, {"review": str(review_id)})
    before = (await handed(session, runtime.vault, [review_id])).get(review_id)
    check_seen(expected, _version_of(review_id, HandoverNow(assigned=before)))
    await check_works_there(session, "staff_id", asked.staff_id, waits, today)
    given = await hand(session, runtime.vault, waits, asked.staff_id, asked.reason, review_id=review_id, by=who.subject)
    response.headers["ETag"] = _version_of(review_id, HandoverNow(assigned=given))
    return given


async def check_works_there(session: AsyncSession, field: str, staff_id: UUID, waits: Waits, today: date) -> None:
    """Nothing, if something that waits may be given to a member of staff.

    Raises:
        Invalid: they neither work at the school nor answer for the student.
    """
    await see_all(session)  # who works where is nobody's to look up, and only whether this one does is told
    there = {"staff": staff_id, "school": waits.school_id, "student": waits.student_id, "today": today}
    if not await session.scalar(_WORKS_THERE, there):
        raise Invalid(field=field, rule="must be assigned to the school, or related to the student")


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
    student = await _whose(session, who, review_id)
    if student is not None:
        return Waits(student.student_id, student.school_id)
    open_alert = col(EquityAlert.id) == review_id, col(EquityAlert.found_at).is_(None)
    if who.role == "district" and await session.scalar(sa.select(sa.exists().where(*open_alert))):
        return Waits()
    for each in await silences(session, who, today):
        if each.id == review_id:
            return Waits(school_id=each.school_id)
    raise NotFound(what="review")


async def _whose(session: AsyncSession, who: Principal, review_id: UUID) -> Student | None:
    overrides = sa.select(col(Ruling.student_id)).where(col(Ruling.id) == review_id, col(Ruling.kind) == "overridden")
    proposals = sa.select(col(Proposal.student_id)).where(
        col(Proposal.id) == review_id, col(Proposal.closed_at).is_(None)
    )
    requests = sa.select(col(HelpRequest.student_id)).where(
        col(HelpRequest.id) == review_id, col(HelpRequest.answered_on).is_(None)
    )
    supports = sa.select(col(Support.student_id)).where(col(Support.id) == review_id, col(Support.ended_on).is_(None))
    teams = sa.select(col(TeamReferral.student_id)).where(
        col(TeamReferral.id) == review_id, col(TeamReferral.met_on).is_(None)
    )
    waiting = col(Student.student_id).in_(overrides.union_all(proposals, requests, supports, teams))
    asked = sa.select(Student).where(
        sa.or_(waiting, col(Student.question_id) == review_id, col(Student.student_id) == review_id),
        visible_to(who, col(Student.student_id)),
    )
    return (await session.scalars(asked)).one_or_none()


def _shown(vault: Vault, handed: Handover) -> HandoverDocument:
    reason = vault.open(handed.reason, row=handed.id, **_SEALED)
    return HandoverDocument(staff_id=handed.staff_id, by=handed.by, at=handed.at, reason=reason)
