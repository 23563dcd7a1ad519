"""Students: where they stand, and the course that led there."""

from datetime import date
from operator import attrgetter
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import require, visible_to
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.errors import NotFound
from common.events import Tier
from common.paging import Cursor, Limit, Page, keyset, next_of, part_of
from common.runtime import RuntimeOf, Today
from common.sealed import Vault
from mtss.models import Proposal, Ruling, Student, course_ahead, courses_of, last_enrolment_is_open, policies_in_force
from mtss.routes.documents import (
    MIXES,
    NO_CONTROL,
    PROPOSAL,
    PURPOSE,
    READS,
    ClauseDocument,
    Covered,
    Reader,
    may_read,
)
from mtss.routes.proposals import ProposalDocument, proposed
from mtss.rules import CourseDay, Held, InForce, held_of, standing_of, what_would_change
from mtss.ruling import flapping_of, reason_of, version_of

router = Router("mtss")

ReasonReader = Annotated[
    Principal,
    require("district", "principal", "counselor", "teacher", reads=READS, mixes=(*MIXES, "narrative"), purpose=PURPOSE),
]


class StudentLine(BaseModel):
    """One student of a list."""

    student_id: UUID
    school_id: str
    tier: Tier | None
    since: date | None
    decision_id: UUID | None
    proposal_open: Annotated[bool | None, Field(description="Null: not for this reader.")]


class OverrideDocument(BaseModel):
    """What a person decided otherwise than the policy, and what it would be without that."""

    id: UUID
    tier: Tier
    tier_beneath: Annotated[Tier, Field(description="What policy and facts say today, and what was accepted of it.")]
    made_on: date
    until: date
    by: str
    reason: Annotated[str | None, Field(description="Null: not for this reader.")]


class FlappingDocument(BaseModel):
    """How often the tier went up and down by decisions that took effect in the last days, of which the policy says how many."""

    model_config = ConfigDict(from_attributes=True)

    ups: int
    downs: int


class StudentDocument(Covered):
    """A student's tier as last decided, and every clause as of the last closed day."""

    student_id: UUID
    school_id: str
    tier: Tier | None
    since: date | None
    decision_id: UUID | None
    decisions: int
    proposal: Annotated[ProposalDocument | None, Field(description="Null: none, or not for this reader.")]
    override: Annotated[OverrideDocument | None, Field(description="Null: none, or not for this reader.")]
    flapping: FlappingDocument
    closed_through: date | None
    what_would_change_it: str


class CourseDayDocument(BaseModel):
    """One instructional day."""

    model_config = ConfigDict(from_attributes=True)

    on: date
    school_id: str
    school_year: int
    closed: bool
    implied: bool
    tier: Tier
    intensive_candidate: Annotated[bool | None, Field(description="Null: not for this reader.")]
    clauses: dict[str, bool | None]


@router.get("/v1/students")
async def list_students(
    who: Reader,
    session: Session,
    today: Today,
    school: Annotated[str | None, Query(max_length=40, pattern=NO_CONTROL)] = None,
    tier: Tier | None = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[StudentLine]:
    """Every student whose last enrolment is open, by student id."""
    asked = sa.select(Student).where(last_enrolment_is_open(today), visible_to(who, col(Student.student_id)))
    if school is not None:
        asked = asked.where(col(Student.school_id) == school)
    if tier is not None:
        asked = asked.where(col(Student.tier) == tier.value)
    found = (await session.scalars(keyset(asked, col(Student.student_id), cursor, limit))).all()
    return Page(
        items=[_line(student, who) for student in found[:limit]], next=next_of(found, limit, attrgetter("student_id"))
    )


@router.get("/v1/students/{student_id}")
async def read_student(
    student_id: UUID, who: ReasonReader, session: Session, runtime: RuntimeOf, today: Today, response: Response
) -> StudentDocument:
    """Where a student stands, since when, and why. Its ETag goes into If-Match of who overrides that."""
    student = await _find(session, who, student_id)
    course = await course_ahead(session, student_id)
    every = course.clauses() if len(course) else ()
    in_force = await policies_in_force(session)
    clauses = [clause for clause in every if may_read(who, clause.clause, in_force)]
    tier = Tier(student.tier) if student.tier else None
    of_people, standing = PROPOSAL in who.reads, standing_of(course.courses)
    held = held_of(standing, course.student) if of_people else None
    supported = of_people and bool(standing.supported[course.student])
    proposal = await session.get(Proposal, student.proposal_id) if of_people and student.proposal_id else None
    override = await _override(session, runtime.vault, who, student, held) if held else None
    if of_people:  # who may not read that a proposal is open must not find it in this either
        response.headers["ETag"] = await version_of(session, student)
    return StudentDocument(
        student_id=student_id,
        school_id=str(student.school_id),
        tier=tier,
        since=student.since,
        decision_id=student.decision_id,
        decisions=student.decisions,
        proposal=await proposed(session, runtime, proposal, str(student.school_id)) if proposal else None,
        override=override,
        flapping=FlappingDocument.model_validate((await flapping_of(session, [student_id], today))[student_id]),
        closed_through=course.on(-1) if len(course) else None,
        clauses=[ClauseDocument.model_validate(clause) for clause in clauses],
        what_would_change_it=what_would_change(
            tier, clauses, course.policy, held, supported=supported, partly=len(clauses) < len(every)
        ),
    )


@router.get("/v1/students/{student_id}/course")
async def read_course(
    student_id: UUID,
    who: Reader,
    session: Session,
    year: Annotated[int | None, Query(ge=1900, le=2200, description="A school year; without it all of them.")] = None,
    cursor: Cursor = None,
    limit: Limit = 500,
) -> Page[CourseDayDocument]:
    """The tier and each clause on every instructional day, through the last closed one."""
    await _find(session, who, student_id)
    (course,) = await courses_of(session, [student_id])
    days = [day for day in course.days() if year is None or day.school_year == year]
    some, following = part_of(days, lambda day: day.on.isoformat(), cursor, limit)
    in_force = await policies_in_force(session)
    return Page(items=[_day(day, who, in_force) for day in some], next=following)


async def _find(session: Session, who: Principal, student_id: UUID) -> Student:
    known = sa.select(Student).where(
        col(Student.student_id) == student_id, col(Student.enrolled), visible_to(who, col(Student.student_id))
    )
    student = (await session.scalars(known)).one_or_none()
    if student is None:
        raise NotFound(what="student")
    return student


async def _override(
    session: AsyncSession, vault: Vault, who: Principal, student: Student, held: Held
) -> OverrideDocument | None:
    mine = col(Ruling.student_id) == student.student_id, col(Ruling.number) == student.ruling
    ruling = (await session.scalars(sa.select(Ruling).where(*mine, col(Ruling.kind) == "overridden"))).one_or_none()
    if ruling is None:
        return None
    reason = reason_of(vault, ruling) if "narrative" in who.reads else None
    return OverrideDocument.model_validate({**ruling.model_dump(), "tier_beneath": held.beneath, "reason": reason})


def _line(student: Student, who: Principal) -> StudentLine:
    proposal_open = student.proposal_id is not None if PROPOSAL in who.reads else None
    return StudentLine.model_validate({**student.model_dump(), "proposal_open": proposal_open})


def _day(day: CourseDay, who: Principal, in_force: InForce) -> CourseDayDocument:
    document = CourseDayDocument.model_validate(day)
    document.clauses = {name: holds for name, holds in day.clauses.items() if may_read(who, name, in_force)}
    if PROPOSAL not in who.reads:
        document.intensive_candidate = None
    return document
