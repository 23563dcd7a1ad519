"""Proposals: what the policy leaves to a person, who accepts it or declines it with a reason."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Response
from pydantic import ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import visible_to
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.errors import DomainError, NotFound
from common.events import Tier
from common.idempotency import ONCE
from common.runtime import Runtime, RuntimeOf
from mtss.models import Proposal, Student
from mtss.routes.desk import At, Decider, Desk, Reasoned, RulingDocument
from mtss.routes.documents import Covered
from mtss.routes.support_documents import RunningDocument
from mtss.routes.supports import running_of
from mtss.rules.reviewing import due_on
from mtss.ruling import days_within, school_days, version_of

router = Router("mtss")


class ProposalClosed(DomainError):
    """The proposal is not open any more: it was answered, or its ground is gone."""


class ProposalDocument(Covered):
    """The beginning or the end of a tier put before a person, with its evidence."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    student_id: UUID
    school_id: str
    tier: Annotated[Tier, Field(description="What is proposed.")]
    tier_before: Annotated[Tier | None, Field(description="What stood when it was proposed; null: not kept then.")]
    since: Annotated[date, Field(description="The first day on which the facts called for it.")]
    policy: str
    known_at: datetime
    closed_at: datetime | None
    due_on: Annotated[
        date | None, Field(description="The instructional day by which to answer; null while no calendar has it.")
    ] = None
    supports: Annotated[
        list[RunningDocument],
        Field(
            default_factory=list,
            description="What the student receives now: while one runs, no tier of theirs ends by itself.",
        ),
    ]


@router.get("/v1/proposals/{proposal_id}")
async def read_proposal(
    proposal_id: UUID, who: Decider, session: Session, runtime: RuntimeOf, response: Response
) -> ProposalDocument:
    """A proposal, open or closed. Its ETag goes into If-Match of who answers it."""
    proposal = await _find(session, who, proposal_id)
    student = await session.get_one(Student, proposal.student_id)
    response.headers["ETag"] = await version_of(session, student)
    return await proposed(session, runtime, proposal, str(student.school_id))


async def proposed(session: AsyncSession, runtime: Runtime, proposal: Proposal, school_id: str) -> ProposalDocument:
    """A proposal about a student of a school, and by when it is due."""
    document, opened_on = ProposalDocument.model_validate(proposal), runtime.date_of(proposal.known_at)
    within = await days_within(session, "proposal_due", runtime.today())
    document.supports = await running_of(session, proposal.student_id)
    document.due_on = due_on(await school_days(session, school_id, opened_on), opened_on, within)
    return document


@router.post("/v1/proposals/{proposal_id}/accept", status_code=201, dependencies=[ONCE])
async def accept_proposal(proposal_id: UUID, asked: Reasoned, desk: At) -> RulingDocument:
    """Accept what is proposed: from today on the tier is that, by a decision whose cause says that a person accepted it.

    Raises:
        ProposalClosed: it was answered, or its ground is gone.
    """
    return await _answer(desk, proposal_id, "accepted", asked.reason)


@router.post("/v1/proposals/{proposal_id}/decline", status_code=201, dependencies=[ONCE])
async def decline_proposal(proposal_id: UUID, asked: Reasoned, desk: At) -> RulingDocument:
    """Decline what is proposed: the tier stays. It is proposed again on new ground, or after the days that the policy says.

    Raises:
        ProposalClosed: it was answered, or its ground is gone.
    """
    return await _answer(desk, proposal_id, "declined", asked.reason)


async def _answer(desk: Desk, proposal_id: UUID, kind: str, reason: str) -> RulingDocument:
    proposal = await _find(desk.session, desk.who, proposal_id)
    student = await desk.student(proposal.student_id)
    if student.proposal_id != proposal_id:
        raise ProposalClosed
    return await desk.rule(student, reason, kind=kind, tier=proposal.tier, proposal_id=proposal_id)


async def _find(session: AsyncSession, who: Principal, proposal_id: UUID) -> Proposal:
    asked = sa.select(Proposal).where(col(Proposal.id) == proposal_id, visible_to(who, col(Proposal.student_id)))
    proposal = (await session.scalars(asked)).one_or_none()
    if proposal is None:
        raise NotFound(what="proposal")
    return proposal
