"""The steps before the meeting: screening, people, the offer, their answers, preparation, the time."""

from datetime import UTC, date
from typing import Annotated, Literal
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from fastapi import Response, status
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from sqlmodel import col

from common.access import visible_to
from common.app import Router
from common.errors import NotFound
from common.idempotency import ONCE
from common.words import Words
from restorative.models import Enrolment
from restorative.routes.desk import AN_ID, PATH, At, Body, Dated, Desk, Undated, sent
from restorative.routes.documents import ReferralShown
from restorative.rules.conference import Kind, Part, Party, Role
from restorative.rules.gathering import AddParty, Offer, Prepare, Refuse, Schedule, Screen, answer

router = Router("restorative", dependencies=[ONCE])

NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=NO_CONTROL)]


class StudentNotYetKnown(NotFound):
    """We have not heard of this student, or this token does not see them."""


class Screening(Undated):
    """Whether a conference is suitable, and why. Contested facts or denied responsibility are not suitable."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"suitable": True, "reason": "Both want to talk, and the facts are agreed."}}
    )

    suitable: bool
    reason: Words
    facts_contested: bool = False
    responsibility_denied: bool = False


class StudentParty(Undated):
    """A student as a party."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"kind": "student", "role": "caused_harm", "student_id": AN_ID}}
    )

    kind: Literal[Kind.STUDENT]
    role: Role
    student_id: UUID


class StaffParty(Undated):
    """A staff member as a party."""

    model_config = ConfigDict(json_schema_extra={"example": {"kind": "staff", "role": "harmed", "staff_id": AN_ID}})

    kind: Literal[Kind.STAFF]
    role: Role
    staff_id: UUID


class NamedParty(Undated):
    """Somebody else as a party; the name is sealed."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"kind": "named", "role": "supporter", "name": "Rosa Example"}}
    )

    kind: Literal[Kind.NAMED]
    role: Role
    name: Name


class PartyId(BaseModel):
    """The id by which later steps call this party."""

    id: UUID


class Offering(Body):
    """When the conference was offered to everybody."""

    model_config = ConfigDict(json_schema_extra={"example": {"offered_on": "2026-10-12"}})

    offered_on: date


class Answer(Dated):
    """Whether a party takes part, and how. Who was harmed may stay away and still take part by a surrogate or in writing."""

    model_config = ConfigDict(json_schema_extra={"example": {"given": True, "on": "2026-10-13", "part": "in_person"}})

    given: bool
    part: Part | None = None


class Preparation(Dated):
    """A meeting with one party apart."""

    model_config = ConfigDict(json_schema_extra={"example": {"party_id": AN_ID, "on": "2026-10-14"}})

    party_id: UUID


class Appointment(Undated):
    """When and where; the place is sealed."""

    model_config = ConfigDict(json_schema_extra={"example": {"at": "2026-10-16T10:00:00-06:00", "place": "Room 12"}})

    at: AwareDatetime
    place: Words


@router.post(f"{PATH}/screen")
async def screen_referral(body: Screening, desk: At) -> ReferralShown:
    """Judge whether a conference is suitable."""
    step = Screen(**body.model_dump(exclude={"reason"}))
    await desk.take(step, sent(body))
    return desk.shown()


@router.post(f"{PATH}/parties", status_code=status.HTTP_201_CREATED, responses={200: {"model": PartyId}})
async def add_party(
    body: Annotated[StudentParty | StaffParty | NamedParty, Field(discriminator="kind")], desk: At, response: Response
) -> PartyId:
    """Add a person to the conference."""
    known = desk.earlier(AddParty.name, sent(body))
    if known is not None and known.party_id is not None:
        response.status_code = status.HTTP_200_OK
        desk.shown()  # for its ETag
        return PartyId(id=known.party_id)
    people = body.model_dump(exclude={"name", "on"})
    school_id = await _school_of(desk, body.student_id) if isinstance(body, StudentParty) else None
    party = Party(id=uuid_utils.uuid7(), school_id=school_id, **people)
    texts = [(party.id, "name", body.name)] if isinstance(body, NamedParty) else []
    await desk.take(AddParty(on=body.on, party=party), sent(body), party_id=party.id, texts=texts)
    desk.shown()  # for its ETag
    return PartyId(id=party.id)


@router.post(f"{PATH}/offer")
async def offer_conference(body: Offering, desk: At) -> ReferralShown:
    """Offer the conference to everybody; from now on the proposed days stay as they are."""
    await desk.take(Offer(on=body.offered_on), sent(body))
    return desk.shown()


@router.post(f"{PATH}/parties/{{party_id}}/consent")
async def record_consent(party_id: UUID, body: Answer, desk: At) -> ReferralShown:
    """Record a party's answer. Of a refusal only its consequence is kept."""
    step = answer(desk.case.conference, party_id, given=body.given, part=body.part, on=body.on)
    if isinstance(step, Refuse):
        await desk.decline(step)
    else:
        content = {"party_id": str(party_id), "on": body.on.isoformat(), "part": step.part}
        await desk.take(step, content, party_id=party_id)
    return desk.shown()


@router.post(f"{PATH}/prepare")
async def prepare_party(body: Preparation, desk: At) -> ReferralShown:
    """Record that a party was prepared apart."""
    await desk.take(Prepare(on=body.on, party_id=body.party_id), sent(body), party_id=body.party_id)
    return desk.shown()


@router.post(f"{PATH}/schedule")
async def schedule_conference(body: Appointment, desk: At) -> ReferralShown:
    """Set time and place, or change them."""
    await desk.take(Schedule(on=body.on, at=body.at.astimezone(UTC)), sent(body))
    return desk.shown()


async def _school_of(desk: Desk, student_id: UUID) -> str:
    """The school by which a visible student takes part: the referral's own if they are there, else the latest."""
    about = (
        col(Enrolment.student_id) == student_id,
        ~col(Enrolment.deleted),
        visible_to(desk.who, col(Enrolment.student_id)),
    )
    here = (col(Enrolment.school_id) == desk.case.referral.school_id).desc()
    latest = sa.select(col(Enrolment.school_id)).where(*about).order_by(here, col(Enrolment.entry_on).desc())
    school_id = await desk.session.scalar(latest.limit(1))
    if school_id is None:
        raise StudentNotYetKnown
    return school_id
