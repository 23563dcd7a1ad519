"""Proofs: a decision made again from the facts as they were known then, and what we knew and know of a day."""

from datetime import UTC, date, datetime, time, timedelta
from operator import attrgetter
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col

from common.access import visible_to
from common.app import Router
from common.audit.writing import about
from common.db import Session
from common.errors import NotFound
from common.events import Tier
from common.idempotency import repeatable
from common.paging import Cursor, keyset, next_of
from common.runtime import RuntimeOf
from mtss.models import (
    Decision,
    Moment,
    Proposal,
    Student,
    facts_known,
    facts_of,
    policies_in_force,
    policies_known,
    verify,
    verify_proposed,
)
from mtss.routes.documents import NO_CONTROL, ClauseDocument, WholeReader
from mtss.rules import Difference, Facts, InForce, course_of, day_number, follow, said_of, standing_of

router = Router("mtss")

MOST_AT_ONCE = 2000
MadeAgainToo = Annotated[
    bool, Query(description="Whether what would change each is made again too: three times as long.")
]


class DifferenceDocument(BaseModel):
    """One thing that is otherwise: as it is stored, and as it comes out today."""

    model_config = ConfigDict(from_attributes=True)

    field: Annotated[str, Field(examples=["clauses.attendance.evidence"])]
    stored: Any
    recomputed: Any


class VerdictDocument(BaseModel):
    """Whether a decision comes out the same."""

    decision_id: UUID
    same: bool
    differences: list[DifferenceDocument]


class ProposalVerdict(BaseModel):
    """A proposal that is not as it was put before people, or does not come out the same."""

    proposal_id: UUID
    differences: list[DifferenceDocument]


class VerifiedProposals(BaseModel):
    """Some proposals looked at, and those of them that differ."""

    verified: int
    differing: list[ProposalVerdict]
    next: str | None


class VerifiedPage(BaseModel):
    """Some decisions verified, and those of them that differ."""

    verified: int
    differing: list[VerdictDocument]
    next: str | None


class KnownDocument(BaseModel):
    """Where a student stood at the end of a day, by facts, policies and people as known at one time. Nothing known: no tier."""

    known_at: datetime | None
    tier: Tier | None
    closed_through: date | None
    clauses: list[ClauseDocument]


class TwoTimes(BaseModel):
    """One day by what was known at its end, and by what is known now."""

    student_id: UUID
    on: date
    as_known_then: KnownDocument
    as_known_now: KnownDocument
    same: Annotated[bool, Field(description="Whether both say the same tier.")]


@router.post("/v1/decisions/{decision_id}/verify")
@repeatable("it changes nothing")
async def verify_decision(decision_id: UUID, who: WholeReader, session: Session) -> VerdictDocument:
    """Make a decision again from the facts as they were known then: the same, or exactly what differs."""
    asked = sa.select(Decision).join(Student, col(Student.student_id) == col(Decision.student_id))
    mine = asked.where(col(Decision.id) == decision_id, visible_to(who, col(Student.student_id)))
    decision = (await session.scalars(mine)).one_or_none()
    if decision is None:
        raise NotFound(what="decision")
    about(decision.student_id)
    (found,) = await verify(session, [decision], changes=True)
    return _verdict(decision, found)


@router.post("/v1/decisions/verify")
@repeatable("it changes nothing")
async def verify_decisions(
    who: WholeReader,
    session: Session,
    school: Annotated[str | None, Query(max_length=40, pattern=NO_CONTROL)] = None,
    changes: MadeAgainToo = False,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = MOST_AT_ONCE,
) -> VerifiedPage:
    """Make many decisions again, by their ids: how many there were, and each that differs."""
    asked = sa.select(Decision).join(Student, col(Student.student_id) == col(Decision.student_id))
    asked = asked.where(visible_to(who, col(Student.student_id)))
    if school is not None:
        asked = asked.where(col(Decision.school_id) == school)
    found = (await session.scalars(keyset(asked, col(Decision.id), cursor, limit))).all()
    decisions = found[:limit]
    verdicts = zip(decisions, await verify(session, decisions, changes=changes), strict=True)
    differing = [(decision, found) for decision, found in verdicts if found]
    about(*(decision.student_id for decision, _ in differing))
    return VerifiedPage(
        verified=len(decisions),
        differing=[_verdict(decision, found) for decision, found in differing],
        next=next_of(found, limit, attrgetter("id")),
    )


@router.post("/v1/proposals/verify")
@repeatable("it changes nothing")
async def verify_proposals(
    who: WholeReader,
    session: Session,
    school: Annotated[str | None, Query(max_length=40, pattern=NO_CONTROL)] = None,
    changes: MadeAgainToo = False,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = MOST_AT_ONCE,
) -> VerifiedProposals:
    """Make many proposals again, open and closed, by their ids: how many there were, and each that differs.

    Those from before their facts were kept are held against their digests.
    """
    asked = sa.select(Proposal).where(visible_to(who, col(Proposal.student_id)))
    if school is not None:
        asked = asked.where(col(Proposal.school_id) == school)
    found = (await session.scalars(keyset(asked, col(Proposal.id), cursor, limit))).all()
    proposals = found[:limit]
    verdicts = zip(proposals, await verify_proposed(session, proposals, changes=changes), strict=True)
    differing = [(proposal, found) for proposal, found in verdicts if found]
    about(*(proposal.student_id for proposal, _ in differing))
    return VerifiedProposals(
        verified=len(proposals),
        differing=[
            ProposalVerdict(proposal_id=each.id, differences=[DifferenceDocument.model_validate(one) for one in found])
            for each, found in differing
        ],
        next=next_of(found, limit, attrgetter("id")),
    )


@router.get("/v1/students/{student_id}/known")
async def read_what_was_known(
    student_id: UUID,
    on: Annotated[date, Query(description="The day that is asked of.")],
    who: WholeReader,
    session: Session,
    runtime: RuntimeOf,
) -> TwoTimes:
    """What we knew at the end of a day and decided by it, and what we would have decided, had we known what we know now.

    Each by the policies that counted as of its time, and by what people had decided by that day.
    """
    seen = sa.select(
        sa.exists().where(
            col(Student.student_id) == student_id, col(Student.enrolled), visible_to(who, col(Student.student_id))
        )
    )
    if not (await session.execute(seen)).scalar_one():
        raise NotFound(what="student")
    end = datetime.combine(on + timedelta(days=1), time(), runtime.settings.zone).astimezone(UTC)
    before, in_force = await policies_known(session, end), await policies_in_force(session)
    then = _known(await facts_known(session, [(student_id, Moment(end))], before.every), on, end, before)
    now = _known(await facts_of(session, [student_id], in_force.every), on, None, in_force)
    return TwoTimes(student_id=student_id, on=on, as_known_then=then, as_known_now=now, same=then.tier == now.tier)


def _known(facts: Facts, on: date, known_at: datetime | None, in_force: InForce) -> KnownDocument:
    facts = facts.through(day_number(on))
    courses = follow(facts, in_force.policies())
    course = course_of(facts, courses, 0)
    clauses = course.clauses() if len(course) else ()
    return KnownDocument(
        known_at=known_at,
        tier=said_of(standing_of(courses), 0).tier,
        closed_through=course.on(-1) if len(course) else None,
        clauses=[ClauseDocument.model_validate(clause) for clause in clauses],
    )


def _verdict(decision: Decision, found: list[Difference]) -> VerdictDocument:
    return VerdictDocument(
        decision_id=decision.id,
        same=not found,
        differences=[DifferenceDocument.model_validate(each) for each in found],
    )
