"""The review queue of a school: what waits for a person, by when, and for whom."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import visible_numbers, visible_to
from common.app import Router
from common.auth import Principal
from common.db import Session, transaction_time
from common.errors import Invalid, NotFound
from common.events import Tier
from common.idempotency import ONCE
from common.paging import Page
from common.runtime import Runtime, RuntimeOf, Today
from common.scope import see_all
from common.sealed import Vault
from mtss.models import Handover, HelpRequest, Proposal, Ruling, Student, last_enrolment_is_open
from mtss.models.freshness import schools_heard
from mtss.routes.desk import Decider, Reasoned
from mtss.routes.documents import NO_CONTROL
from mtss.routes.help_requests import open_requests
from mtss.routes.students import FlappingDocument
from mtss.rules.reviewing import due_on, ends_soon
from mtss.ruling import days_within, flapping_of, school_days

router = Router("mtss")

_HANDED = {"table": "mtss_handover", "column": "reason"}
_WORKS_THERE = sa.text(
    """
    SELECT EXISTS (
        SELECT FROM scope_assignment AS a WHERE a.staff_id = :staff AND a.school_id = :school AND NOT a.deleted
        AND a.begin_on <= :today AND coalesce(a.end_on, 'infinity') >= :today
    ) OR EXISTS (
        SELECT FROM scope_relation AS r WHERE r.staff_id = :staff AND r.student_id = :student AND NOT r.deleted
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


class ReviewDocument(BaseModel):
    """Something that waits for a person."""

    id: Annotated[UUID, Field(description="Of the proposal, the request or the override.")]
    about: Annotated[str, Field(description="proposal, help_request or override")]
    student_id: UUID
    tier: Annotated[Tier | None, Field(description="What is proposed, or what the override says.")]
    begun_on: date
    due_on: Annotated[date | None, Field(description="Null while no calendar has that day.")]
    late: bool
    assigned: Annotated[HandoverDocument | None, Field(description="Null: nobody in particular.")]
    flapping: FlappingDocument


class SilenceDocument(BaseModel):
    """A school of which no day was closed for so long that somebody must ask why."""

    since: Annotated[date, Field(description="The first instructional day that is not closed.")]
    school_days: Annotated[int, Field(description="How many have passed.")]


class ReviewQueue(Page[ReviewDocument]):
    """What waits at a school, and whether anything still comes from it."""

    silence: Annotated[SilenceDocument | None, Field(description="Null: none, or not for this reader.")]


class HandoverAsked(Reasoned):
    """To whom, and why."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"staff_id": "0190f6a8-0000-7000-8000-000000000001", "reason": "She knows the family well."}
        }
    )

    staff_id: UUID


@router.get("/v1/schools/{school_id}/reviews")
async def list_reviews(
    school_id: Annotated[str, Path(max_length=40, pattern=NO_CONTROL)],
    who: Decider,
    session: Session,
    runtime: RuntimeOf,
    today: Today,
) -> ReviewQueue:
    """All that waits at a school: proposals, requests for help, and overrides that end soon; what is due first first."""
    mine = last_enrolment_is_open(today), col(Student.school_id) == school_id, visible_to(who, col(Student.student_id))
    found = [
        *await _proposals(session, runtime, mine, school_id),
        *await _overrides(session, mine, school_id, today),
        *await _help_requests(session, mine, school_id, today),
    ]
    handed = await _handed(session, runtime.vault, [each.id for each in found])
    flapping = await flapping_of(session, [each.student_id for each in found], today)
    for each in found:
        each.assigned = handed.get(each.id)
        each.flapping = FlappingDocument.model_validate(flapping[each.student_id])
    items = sorted(found, key=lambda each: (each.due_on or date.max, each.id))
    return ReviewQueue(items=items, next=None, silence=await _silence(session, who, school_id, today))


@router.post("/v1/reviews/{review_id}/hand-over", status_code=201, dependencies=[ONCE])
async def hand_over_review(
    review_id: UUID, asked: HandoverAsked, who: Decider, session: Session, runtime: RuntimeOf, today: Today
) -> HandoverDocument:
    """Hand something that waits to a member of staff who works at the student's school or answers for the student.

    Raises:
        Invalid: they do neither.
    """
    student = await _whose(session, who, review_id)
    await see_all(session)  # who works where is nobody's to look up, and only whether this one does is told
    there = {"staff": asked.staff_id, "school": student.school_id, "student": student.student_id, "today": today}
    if not await session.scalar(_WORKS_THERE, there):
        raise Invalid(field="staff_id", rule="must be assigned to the student's school, or related to the student")
    at = await transaction_time(session)
    handed = Handover(
        review_id=review_id, student_id=student.student_id, staff_id=asked.staff_id, by=who.subject, at=at
    )
    handed.reason = runtime.vault.seal(asked.reason, row=handed.id, **_HANDED)
    session.add(handed)
    return _shown(runtime.vault, handed)


async def _proposals(
    session: AsyncSession, runtime: Runtime, mine: Sequence[sa.ColumnElement[bool]], school_id: str
) -> list[ReviewDocument]:
    asked = sa.select(Proposal).join(Student, col(Student.proposal_id) == col(Proposal.id)).where(*mine)
    opened = [(each, runtime.date_of(each.known_at)) for each in await session.scalars(asked)]
    days = await school_days(session, school_id, min((on for _, on in opened), default=runtime.today()))
    within = await days_within(session, "proposal_due", runtime.today())
    due = [(each, on, due_on(days, on, within)) for each, on in opened]
    return [_line("proposal", each, on, by, late=by is not None and by < runtime.today()) for each, on, by in due]


async def _overrides(
    session: AsyncSession, mine: Sequence[sa.ColumnElement[bool]], school_id: str, today: date
) -> list[ReviewDocument]:
    standing = sa.and_(col(Student.student_id) == col(Ruling.student_id), col(Student.ruling) == col(Ruling.number))
    asked = sa.select(Ruling).join(Student, standing).where(*mine, col(Ruling.kind) == "overridden")
    days, soon = await school_days(session, school_id, today), await days_within(session, "override_ends_soon", today)
    ending = [(each, each.until) for each in await session.scalars(asked) if each.until]
    return [
        _line("override", each, each.made_on, until) for each, until in ending if ends_soon(days, today, until, soon)
    ]


async def _help_requests(
    session: AsyncSession, mine: Sequence[sa.ColumnElement[bool]], school_id: str, today: date
) -> list[ReviewDocument]:
    asked = await open_requests(session, mine)
    days = await school_days(session, school_id, min((each.asked_on for each in asked), default=today))
    within = await days_within(session, "help_answered", today)
    due = [(each, due_on(days, each.asked_on, within)) for each in asked]
    return [_line("help_request", each, each.asked_on, by, late=by is not None and by < today) for each, by in due]


async def _silence(session: AsyncSession, who: Principal, school_id: str, today: date) -> SilenceDocument | None:
    of_school = col(Student.school_id) == school_id, last_enrolment_is_open(today)
    whole = visible_to(who, col(Student.student_id)), visible_numbers(who, col(Student.school_id))
    if not await session.scalar(sa.select(sa.exists().where(*of_school, *whole))):
        return None
    (school,) = await schools_heard(session, [school_id], today)
    if school.silent_since is None or school.silent_days < await days_within(session, "school_silent", today):
        return None
    return SilenceDocument(since=school.silent_since, school_days=school.silent_days)


def _line(
    about: str, of: Proposal | Ruling | HelpRequest, begun_on: date, due: date | None, *, late: bool = False
) -> ReviewDocument:
    return ReviewDocument(
        id=of.id,
        about=about,
        student_id=of.student_id,
        tier=None if isinstance(of, HelpRequest) else Tier(of.tier),
        begun_on=begun_on,
        due_on=due,
        late=late,
        assigned=None,
        flapping=FlappingDocument(ups=0, downs=0),
    )


async def _handed(session: AsyncSession, vault: Vault, reviews: Sequence[UUID]) -> Mapping[UUID, HandoverDocument]:
    asked = sa.select(Handover).where(col(Handover.review_id).in_(reviews)).order_by(col(Handover.id))
    return {each.review_id: _shown(vault, each) for each in await session.scalars(asked)}


async def _whose(session: AsyncSession, who: Principal, review_id: UUID) -> Student:
    """The student of something that waits."""
    overrides = sa.select(col(Ruling.student_id)).where(col(Ruling.id) == review_id, col(Ruling.kind) == "overridden")
    proposals = sa.select(col(Proposal.student_id)).where(
        col(Proposal.id) == review_id, col(Proposal.closed_at).is_(None)
    )
    requests = sa.select(col(HelpRequest.student_id)).where(
        col(HelpRequest.id) == review_id, col(HelpRequest.answered_on).is_(None)
    )
    asked = sa.select(Student).where(
        col(Student.student_id).in_(overrides.union_all(proposals, requests)), visible_to(who, col(Student.student_id))
    )
    student = (await session.scalars(asked)).one_or_none()
    if student is None:
        raise NotFound(what="review")
    return student


def _shown(vault: Vault, handed: Handover) -> HandoverDocument:
    reason = vault.open(handed.reason, row=handed.id, **_HANDED)
    return HandoverDocument(staff_id=handed.staff_id, by=handed.by, at=handed.at, reason=reason)
