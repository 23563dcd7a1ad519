"""Referrals: the list, one with its history, and opening one by hand."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Query, Response, status
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import require, visible_to
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.errors import DomainError, NotFound
from common.idempotency import ONCE
from common.paging import Cursor, Limit, Page, keyset, next_of
from common.runtime import Now, RuntimeOf
from restorative.conferences import Case, hold, read_case, staff_named, visible
from restorative.following import lock_students, settle
from restorative.models import Action, Incident, PartyRow, Referral
from restorative.routes.documents import ReferralLine, ReferralShown, line, show, tagged
from restorative.rules.conference import check_impartial

router = Router("restorative")

_READS = ("directory", "discipline")
Readers = Annotated[
    Principal,
    require(
        "district", "principal", "counselor", "facilitator", reads=_READS, mixes=["narrative"], purpose="discipline"
    ),
]
Facilitator = Annotated[Principal, require("facilitator", reads=(*_READS, "narrative"), purpose="discipline")]


class IncidentNotYetKnown(NotFound):
    """We have not heard of this student in this incident, or this token does not see the student."""


class ExclusionNotYetKnown(DomainError):
    """We have not heard of an exclusion of this student for this incident, so there is nothing to replace."""


class Opening(BaseModel):
    """A student and an incident."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "student_id": "0190f6a8-0000-7000-8000-000000000001",
                "incident_id": "0190f6a8-0000-7000-8000-000000000002",
            }
        },
    )

    student_id: UUID
    incident_id: UUID


@router.get("/v1/referrals")
async def list_referrals(
    who: Readers,
    session: Session,
    limit: Limit = 100,
    cursor: Cursor = None,
    school: Annotated[str | None, Query(max_length=40, pattern=r"^[^\x00-\x1f]+$")] = None,
    incident_id: UUID | None = None,
    student_id: UUID | None = None,
) -> Page[ReferralLine]:
    """The referrals this token sees, oldest first."""
    query = sa.select(Referral).where(visible(who))
    for column, wanted in (
        (Referral.school_id, school),
        (Referral.incident_id, incident_id),
        (Referral.student_id, student_id),
    ):
        if wanted is not None:
            query = query.where(col(column) == wanted)
    rows = (await session.scalars(keyset(query, col(Referral.id), cursor, limit))).all()
    free = await _facilitated_by(session, who, rows[:limit])
    items = [ReferralLine(**line(row, facilitates=row.id in free)) for row in rows[:limit]]
    return Page(items=items, next=next_of(rows, limit, attrgetter("id")))


@router.get("/v1/referrals/{referral_id}")
async def read_referral(
    referral_id: UUID, who: Readers, session: Session, runtime: RuntimeOf, response: Response
) -> ReferralShown:
    """One referral, as much of it as the reader's part in it allows. Its ETag goes into If-Match of the next step."""
    case = await read_case(session, referral_id, visible(who))
    facilitates = await _facilitated_by(session, who, [case.referral])
    if facilitates and "narrative" in who.reads:
        return tagged(response, show(case, runtime.vault))
    return tagged(response, show(case, None, unseen=await _unseen(session, who, case)))


@router.post(
    "/v1/referrals",
    status_code=status.HTTP_201_CREATED,
    dependencies=[ONCE],
    responses={200: {"model": ReferralShown}},
)
async def create_referral(
    body: Opening, who: Facilitator, session: Session, runtime: RuntimeOf, now: Now, response: Response
) -> ReferralShown:
    """Open a referral by hand, also for an action heard late; one that is open already is answered with 200."""
    await lock_students(session, [body.student_id])
    known = await _referral_id(session, body, who)
    if known is None and not await _may_refer(session, body, who):
        raise IncidentNotYetKnown
    named = await staff_named(session, body.student_id, body.incident_id)
    staff_id = check_impartial(who.staff_id, named=named)
    if known is not None:
        response.status_code = status.HTTP_200_OK
        return tagged(response, show(await read_case(session, known, sa.true()), runtime.vault))
    await settle(session, [body.student_id], by_hand=(body.student_id, body.incident_id))
    opened_id = await _referral_id(session, body, who)
    if opened_id is None:
        raise ExclusionNotYetKnown
    case = await read_case(session, opened_id, sa.true())
    case.note("open", at=now, staff_id=staff_id)
    await hold(case, staff_id)
    return tagged(response, show(case, runtime.vault))


async def _unseen(session: AsyncSession, who: Principal, case: Case) -> set[UUID]:
    """The students among the parties whom ``who`` does not see."""
    students = {party.student_id for party in case.parties if party.student_id} - {case.referral.student_id}
    of_case = col(PartyRow.referral_id) == case.referral.id
    seen = sa.select(col(PartyRow.student_id)).where(of_case, visible_to(who, col(PartyRow.student_id)))
    return students.difference(await session.scalars(seen))


async def _may_refer(session: AsyncSession, body: Opening, who: Principal) -> bool:
    about = (
        col(Incident.student_id) == body.student_id,
        col(Incident.incident_id) == body.incident_id,
        ~col(Incident.deleted),
        visible_to(who, col(Incident.student_id)),
    )
    return bool(await session.scalar(sa.select(sa.exists().where(*about))))


async def _referral_id(session: AsyncSession, body: Opening, who: Principal) -> UUID | None:
    about = (
        col(Referral.student_id) == body.student_id,
        col(Referral.incident_id) == body.incident_id,
        visible(who),
    )
    return (await session.scalars(sa.select(col(Referral.id)).where(*about))).one_or_none()


async def _facilitated_by(session: AsyncSession, who: Principal, referrals: Sequence[Referral]) -> set[UUID]:
    """Those of ``referrals`` that this principal may facilitate: no action names them."""
    if who.role != "facilitator" or who.staff_id is None:
        return set()
    students = {referral.student_id for referral in referrals}
    about = (col(Action.student_id).in_(students), col(Action.staff_ids).contains([who.staff_id]))
    rows = await session.execute(sa.select(col(Action.student_id), col(Action.incident_ids)).where(*about))
    conflicts = {(student_id, incident_id) for student_id, incident_ids in rows for incident_id in incident_ids}
    return {referral.id for referral in referrals if (referral.student_id, referral.incident_id) not in conflicts}
