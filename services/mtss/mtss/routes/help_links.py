"""Personal links with which a student or somebody of the family asks for help: issued, listed and taken back."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col

from common.access import require, visible_to
from common.app import Router
from common.audit.writing import about
from common.auth import Principal
from common.db import Session, transaction_time
from common.errors import FieldsForbidden, Invalid, NotFound
from common.idempotency import ONCE
from common.links import digest_of, new_token, revoke
from common.paging import Cursor, Limit, Page
from common.policy import LINK_DAYS
from common.runtime import RuntimeOf, Today
from mtss.contacts import may_be_told
from mtss.models import Author, HelpLink
from mtss.routes.desk import locked_student, page_of

router = Router("mtss")

_ROLES = ("district", "principal", "counselor", "facilitator")
_GIVES: dict[str, Any] = {"reads": ("directory",), "mixes": ("contact_address",), "purpose": "contact"}
Issuer = Annotated[Principal, require(*_ROLES, second_factor=True, **_GIVES)]
Keeper = Annotated[Principal, require(*_ROLES, **_GIVES)]


class HelpLinkAsked(BaseModel):
    """For whom: a contact of the student, whose id sis gave; without one for the student."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, json_schema_extra={"example": {}})

    contact_id: UUID | None = None


class HelpLinkDocument(BaseModel):
    """A link that works, and who has it."""

    id: UUID
    student_id: UUID
    author: Annotated[Author, Field(description="student or family")]
    holder_id: Annotated[UUID | None, Field(description="The student or the contact; null if you read no contacts.")]
    issued_at: datetime
    issued_by: str
    expires_on: Annotated[date, Field(description="The last day on which it works.")]


class HelpLinkIssued(HelpLinkDocument):
    """A new link. It is shown this once; stored is its digest, and for a day, sealed, the answer to a request with a key."""

    url: str


@router.post("/v1/students/{student_id}/help-links", status_code=201, dependencies=[ONCE])
async def issue_help_link(
    student_id: UUID, asked: HelpLinkAsked, who: Issuer, session: Session, runtime: RuntimeOf, today: Today
) -> HelpLinkIssued:
    """Issue a link with which a student, or a contact of theirs, asks for help. One that they had stops working.

    Raises:
        FieldsForbidden: it is for a contact, and the role reads none.
        Invalid: there is no such contact of the student, or one who may be told nothing.
    """
    if asked.contact_id and "contact_address" not in who.reads:
        raise FieldsForbidden
    # Asked before this transaction begins, for sis may take a while; told only of a student who is seen.
    told = not asked.contact_id or await may_be_told(runtime, student_id, asked.contact_id)
    await locked_student(session, who, student_id)  # nobody else issues a link meanwhile
    if not told:
        raise Invalid(field="contact_id", rule="must be a contact of the student whom no restriction bars")
    holder, at, token = asked.contact_id or student_id, await transaction_time(session), new_token()
    await revoke(session, HelpLink, at, col(HelpLink.student_id) == student_id, col(HelpLink.holder_id) == holder)
    link = HelpLink(
        digest=digest_of(token),
        student_id=student_id,
        author=Author.FAMILY if asked.contact_id else Author.STUDENT,
        holder_id=holder,
        issued_at=at,
        issued_by=who.subject,
        expires_on=today + timedelta(days=LINK_DAYS),
    )
    session.add(link)
    url = f"{runtime.settings.public_url.rstrip('/')}/mtss/v1/help/{token}"
    return HelpLinkIssued(**_shown(link, who).model_dump(), url=url)


@router.get("/v1/students/{student_id}/help-links")
async def list_help_links(
    student_id: UUID, who: Keeper, session: Session, today: Today, cursor: Cursor = None, limit: Limit = 100
) -> Page[HelpLinkDocument]:
    """The links that work for a student and their contacts, without what opens them."""
    works = col(HelpLink.revoked_at).is_(None), col(HelpLink.expires_on) >= today
    found, following = await page_of(session, who, student_id, HelpLink, col(HelpLink.id), cursor, limit, *works)
    return Page(items=[_shown(each, who) for each in found], next=following)


@router.delete("/v1/help-links/{link_id}", status_code=204)
async def revoke_help_link(link_id: UUID, who: Keeper, session: Session) -> None:
    """Take back a link; it stops working at once. One that was taken back stays so."""
    mine = col(HelpLink.id) == link_id, visible_to(who, col(HelpLink.student_id))
    student_id = await session.scalar(sa.select(col(HelpLink.student_id)).where(*mine))
    if student_id is None:
        raise NotFound(what="link")
    about(student_id)
    await revoke(session, HelpLink, await transaction_time(session), *mine)


def _shown(link: HelpLink, who: Principal) -> HelpLinkDocument:
    whole = "contact_address" in who.reads or link.author == Author.STUDENT
    holder = link.holder_id if whole else None
    return HelpLinkDocument.model_validate({**link.model_dump(), "holder_id": holder})
