"""Personal links: who gets one, and taking one back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import require
from common.app import Router
from common.db import Session, transaction_time
from common.errors import NotFound
from common.idempotency import ONCE
from common.links import digest_of, new_token, revoke
from common.runtime import RuntimeOf, Today
from surveys.models import Enrolment, Link, Response, Window, enrolled, insert_all, standing_consents
from surveys.routes.windows import window_with
from surveys.rules import ConsentState, Stage, WindowClosed, may_answer

router = Router("surveys")


class LinksAsked(BaseModel):
    """Whose links are issued, and whether others end.

    ``replace`` revokes every link, or that of ``student_id`` alone, and issues new ones to those who have not answered: for a
    list, or one link, that was lost. Without it, whoever's link was revoked gets no other.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    replace: bool = False
    student_id: Annotated[UUID | None, Field(description="For this student alone.")] = None


class LinkIssued(BaseModel):
    """A student's link. It is shown this once; stored is its digest, and for a day, sealed, the answer to a request with a key."""

    student_id: UUID
    url: str


class LinksIssued(BaseModel):
    """New links, and how many students got none for want of consent or because they opted out."""

    issued: int
    without_consent: int
    items: list[LinkIssued]


@dataclass(frozen=True, slots=True)
class _Person:
    """What decides whether a student gets a link."""

    student_id: UUID
    state: ConsentState | None
    has_link: bool


@router.post(
    "/v1/windows/{window_id}/links",
    dependencies=[require("district", second_factor=True, reads=["directory"], purpose="administration"), ONCE],
)
async def issue_links(
    window_id: UUID,
    session: Session,
    runtime: RuntimeOf,
    today: Today,
    asked: Annotated[LinksAsked, Body()] = LinksAsked(),
) -> LinksIssued:
    """Issue a link to each student who has what is required, has not answered and was never given one."""
    window = await window_with(session, window_id)
    notice = window.rule().told()
    if window.rule().stage(today) is Stage.CLOSED:
        raise WindowClosed
    at = await transaction_time(session)
    if asked.replace:
        theirs = col(Link.student_id) == asked.student_id if asked.student_id else sa.true()
        await revoke(session, Link, at, col(Link.window_id) == window_id, theirs)
    counted = col(Link.revoked_at).is_(None) if asked.replace else sa.true()
    people = await _people(session, window, max(today, window.opens_on), counted)
    people = [each for each in people if asked.student_id in (None, each.student_id)]
    allowed = [person for person in people if may_answer(notice, person.state)]
    tokens = await _issue(session, window_id, [person.student_id for person in allowed if not person.has_link], at)
    base = f"{runtime.settings.public_url.rstrip('/')}/surveys/v1/answer"
    items = [LinkIssued(student_id=student, url=f"{base}/{token}") for student, token in tokens]
    return LinksIssued(issued=len(items), without_consent=len(people) - len(allowed), items=items)


@router.delete(
    "/v1/windows/{window_id}/links/{student_id}",
    status_code=204,
    dependencies=[require("district", reads=["directory"], purpose="administration")],
)
async def revoke_link(window_id: UUID, student_id: UUID, session: Session) -> None:
    """Take back a student's link; it stops working at once."""
    mine = col(Link.window_id) == window_id, col(Link.student_id) == student_id
    if not await revoke(session, Link, await transaction_time(session), *mine):
        raise NotFound(what="link")


async def _people(session: AsyncSession, window: Window, on: date, counted: sa.ColumnElement[bool]) -> list[_Person]:
    """Students who are at a school of the window on that day and have not answered; whether they have a link ``counted``."""
    consents = standing_consents(window.id)
    student = col(Enrolment.student_id)
    link = sa.and_(col(Link.window_id) == window.id, col(Link.student_id) == student, counted)
    has_answered = sa.exists().where(col(Response.window_id) == window.id, col(Response.student_id) == student)
    still_there = sa.func.coalesce(Enrolment.exit_on, on) >= on
    rows = await session.execute(
        sa.select(student, consents.c.state, sa.exists().where(link))
        .outerjoin(consents, consents.c.student_id == student)
        .where(enrolled(window), col(Enrolment.entry_on) <= on, still_there, ~has_answered)
        .distinct()
        .order_by(student)
    )
    return [_Person(identity, ConsentState(state) if state else None, has_link) for identity, state, has_link in rows]


async def _issue(
    session: AsyncSession, window_id: UUID, students: Sequence[UUID], at: datetime
) -> list[tuple[UUID, str]]:
    """Links for these students, each with its token; whoever was given one a moment ago by somebody else is left out."""
    if not students:
        return []
    tokens = {student: new_token() for student in students}
    links = [
        Link(digest=digest_of(token), window_id=window_id, student_id=student, issued_at=at, revoked_at=None)
        for student, token in tokens.items()
    ]
    issued = await session.execute(insert_all(links).on_conflict_do_nothing().returning(col(Link.student_id)))
    return [(student, tokens[student]) for student in issued.scalars()]
