"""The review queue of a school: what waits for a person, by when, and for whom."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Path
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import visible_to
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.events import Tier
from common.paging import Page
from common.runtime import Runtime, RuntimeOf, Today
from common.sealed import Vault
from mtss.models import HelpRequest, Proposal, Ruling, Student, last_enrolment_is_open
from mtss.routes.desk import Decider
from mtss.routes.documents import NO_CONTROL
from mtss.routes.handing import Assigned, handed
from mtss.routes.help_requests import open_requests
from mtss.routes.students import FlappingDocument
from mtss.rules.reviewing import due_on, ends_soon
from mtss.ruling import days_within, flapping_of, school_days
from mtss.silence import silences

router = Router("mtss")


class ReviewDocument(BaseModel):
    """Something that waits for a person."""

    id: Annotated[UUID, Field(description="Of the proposal, the request or the override.")]
    about: Annotated[str, Field(description="proposal, help_request or override")]
    student_id: UUID
    tier: Annotated[Tier | None, Field(description="What is proposed, or what the override says.")]
    begun_on: date
    due_on: Annotated[date | None, Field(description="Null while no calendar has that day.")]
    late: bool
    assigned: Assigned
    flapping: FlappingDocument


class SilenceDocument(BaseModel):
    """A school of which no day was closed for so long that somebody must ask why."""

    id: UUID
    since: Annotated[date, Field(description="The first instructional day that is not closed.")]
    school_days: Annotated[int, Field(description="How many have passed.")]
    assigned: Assigned


class ReviewQueue(Page[ReviewDocument]):
    """What waits at a school, and whether anything still comes from it."""

    silence: Annotated[SilenceDocument | None, Field(description="Null: none, or not for this reader.")]


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
    assigned = await handed(session, runtime.vault, [each.id for each in found])
    flapping = await flapping_of(session, [each.student_id for each in found], today)
    for each in found:
        each.assigned = assigned.get(each.id)
        each.flapping = FlappingDocument.model_validate(flapping[each.student_id])
    items = sorted(found, key=lambda each: (each.due_on or date.max, each.id))
    return ReviewQueue(items=items, next=None, silence=await _silence(session, runtime.vault, who, school_id, today))


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


async def _silence(
    session: AsyncSession, vault: Vault, who: Principal, school_id: str, today: date
) -> SilenceDocument | None:
    for each in await silences(session, who, today, col(Student.school_id) == school_id):
        assigned = (await handed(session, vault, [each.id])).get(each.id)
        return SilenceDocument(id=each.id, since=each.since, school_days=each.school_days, assigned=assigned)
    return None


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
