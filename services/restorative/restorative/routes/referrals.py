"""Referrals: the list, one with its history, and opening one by hand.

Names, reasons, items and evidence are opened for facilitators alone, and not for one whom the action names: what is said
in a conference stays with those who hold it.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import Query, Response, status
from pydantic import BaseModel, ConfigDict, TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import require, visible_to
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.errors import DomainError, Invalid, NotFound
from common.idempotency import ONCE
from common.paging import Cursor, Limit, Page, decode_cursor, encode_cursor
from common.preconditions import etag_of
from common.runtime import Now, RuntimeOf
from common.sealed import Vault
from restorative.conferences import Case, hold, opened, read_case, staff_named, visible
from restorative.following import lock_students, settle
from restorative.models import Action, Incident, ItemRow, PartyRow, Referral, StepRow
from restorative.rules.conference import ItemKind, Kind, Part, Role, State, check_impartial, seen_by_others
from restorative.rules.exclusion import hundredths_avoided

router = Router("restorative")

_READS = ("directory", "discipline")
Readers = Annotated[
    Principal,
    require(
        "district", "principal", "counselor", "facilitator", reads=_READS, mixes=["narrative"], purpose="discipline"
    ),
]
Facilitator = Annotated[Principal, require("facilitator", reads=(*_READS, "narrative"), purpose="discipline")]

_ABOUT_ONE_PARTY = frozenset({"consent", "prepare"})
_CALLING_OFF = frozenset({"decline", "withdraw", "take_back"})
_CONTENT = TypeAdapter(dict[str, Any])


class IncidentNotYetKnown(NotFound):
    """We have not heard of this student in this incident, or this token does not see the student."""


class ExclusionNotYetKnown(DomainError):
    """We have not heard of an exclusion of this student for this incident, so there is nothing to replace."""


class ReferralLine(BaseModel):
    """One referral in a list. To those who do not facilitate, one that was called off is ``closed``."""

    id: UUID
    student_id: UUID
    incident_id: UUID
    school_id: str
    happened_on: date
    opened_at: datetime
    opened_by_hand: bool
    state: str
    days_proposed: float
    days_served: float
    offered_on: date | None
    scheduled_at: datetime | None
    held_on: date | None
    ended_on: date | None


class PartyShown(BaseModel):
    """One person; ``part`` is null for who does not take part, whether never asked, not yet, or not any more."""

    id: UUID
    kind: Kind
    role: Role
    student_id: UUID | None
    staff_id: UUID | None
    name: str | None = None
    part: Part | None = None
    prepared_on: date | None = None


class ItemShown(BaseModel):
    """One item of the agreement."""

    id: UUID
    kind: ItemKind
    by_party: UUID
    for_party: UUID | None
    due_on: date
    status: str
    kept_on: date | None
    verified_by: UUID | None
    what: str | None = None
    evidence: str | None = None


class StepShown(BaseModel):
    """One step of the history; ``content`` is what was sent with it, for facilitators."""

    step: str
    on: date | None
    taken_at: datetime
    staff_id: UUID | None
    party_id: UUID | None
    content: dict[str, Any] | None = None


class ReferralShown(ReferralLine):
    """One referral with its people, its agreement and its history. ``days_avoided`` is null until it is completed."""

    suitable: bool | None = None
    days_avoided: float | None
    parties: list[PartyShown]
    items: list[ItemShown]
    steps: list[StepShown]


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
    if cursor is not None:
        query = query.where(col(Referral.id) > _id_of(cursor))
    rows = list(await session.scalars(query.order_by(col(Referral.id)).limit(limit + 1)))
    more = encode_cursor(str(rows[limit - 1].id)) if len(rows) > limit else None
    free = await _facilitated_by(session, who, rows[:limit])
    items = [ReferralLine(**_line(row, facilitates=row.id in free)) for row in rows[:limit]]
    return Page(items=items, next=more)


@router.get("/v1/referrals/{referral_id}")
async def read_referral(
    referral_id: UUID, who: Readers, session: Session, runtime: RuntimeOf, response: Response
) -> ReferralShown:
    """One referral, as much of it as the reader's part in it allows. Its ETag goes into If-Match of the next step."""
    case = await read_case(session, referral_id, visible(who))
    facilitates = await _facilitated_by(session, who, [case.referral])
    return tagged(response, show(case, runtime.vault if facilitates and "narrative" in who.reads else None))


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


def tagged(response: Response, shown: ReferralShown) -> ReferralShown:
    """The referral, with the ETag of just what is shown of it."""
    response.headers["ETag"] = version_of(shown)
    return shown


def version_of(shown: ReferralShown) -> str:
    """What tells this referral, as it is shown, from how it was shown before."""
    return etag_of(shown.model_dump_json())


def days(hundredths: int) -> float:
    """Hundredths of a day as days."""
    return hundredths / 100


def show(case: Case, vault: Vault | None) -> ReferralShown:
    """The referral for who facilitates it; without a vault for those who do not: no text, and not who takes part."""
    referral = case.referral
    avoided = hundredths_avoided(proposed=referral.hundredths_proposed, served=referral.hundredths_served)
    return ReferralShown(
        **_line(referral, facilitates=vault is not None),
        suitable=referral.suitable if vault else None,
        days_avoided=days(avoided) if referral.state == State.COMPLETED else None,
        parties=[_party(row, vault) for row in case.parties],
        items=[_item(row, vault) for row in case.items],
        steps=[_step(row, vault) for row in _history(case, everything=vault is not None)],
    )


def _line(referral: Referral, *, facilitates: bool) -> dict[str, Any]:
    state = State(referral.state)
    return {
        **referral.model_dump(exclude={"state", "hundredths_proposed", "hundredths_served", "suitable"}),
        "opened_by_hand": referral.by_hand,
        "state": state.value if facilitates else seen_by_others(state),
        "days_proposed": days(referral.hundredths_proposed),
        "days_served": days(referral.hundredths_served),
    }


def _party(row: PartyRow, vault: Vault | None) -> PartyShown:
    seen = row.model_dump(include={"id", "kind", "role", "student_id", "staff_id"})
    if vault is None:
        return PartyShown(**seen)
    return PartyShown(
        **seen, name=opened(vault, row, "name"), part=Part(row.part) if row.part else None, prepared_on=row.prepared_on
    )


def _item(row: ItemRow, vault: Vault | None) -> ItemShown:
    seen = row.model_dump(exclude={"what", "evidence"}) | {"status": "kept" if row.kept_on else "open"}
    texts = {name: opened(vault, row, name) for name in ("what", "evidence")} if vault else {}
    return ItemShown(**(seen | texts))


def _step(row: StepRow, vault: Vault | None) -> StepShown:
    content = opened(vault, row, "content") if vault else None
    return StepShown(
        **row.model_dump(exclude={"content"}), content=_CONTENT.validate_json(content) if content else None
    )


def _history(case: Case, *, everything: bool) -> list[StepRow]:
    """The steps: never who no longer takes part, and to those who do not facilitate neither who does nor how it was called off."""
    if not everything:
        return [row for row in case.steps if row.step not in _ABOUT_ONE_PARTY | _CALLING_OFF]
    part = {party.id: party.part for party in case.parties}
    return [row for row in case.steps if row.step not in _ABOUT_ONE_PARTY or (row.party_id and part[row.party_id])]


def _id_of(cursor: str) -> UUID:
    try:
        return UUID(decode_cursor(cursor, 1)[0])
    except ValueError:
        raise Invalid(field="cursor", rule="must be the next of an earlier page") from None


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
