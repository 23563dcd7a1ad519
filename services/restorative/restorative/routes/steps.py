"""The steps of one conference, each a POST by its facilitator.

A step may be sent again: one that was taken with the same content is answered with the current state, and nothing else
happens. A step that really is taken twice in the same words, such as going back to an earlier time, carries another
``on``. Refusals are not recorded at all; saying one again changes nothing by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from fastapi import Depends, Response, status
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import visible_to
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.errors import NotFound
from common.runtime import Now, RuntimeOf, Today
from common.sealed import Vault
from restorative.announcements import announce, facts
from restorative.conferences import Case, canonical, opened, read_case, seal, staff_named
from restorative.models import Enrolment, Referral, StepRow
from restorative.routes.referrals import Facilitator, ReferralShown, show
from restorative.rules import steps
from restorative.rules.conference import Item, ItemKind, Kind, Part, Party, Role, State, check_impartial

router = Router("restorative")

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Text = tuple[UUID, str, str]
"""A row, a sealed column of it, and what is to stand there."""
_AN_ID = "0190f6a8-0000-7000-8000-000000000001"


class StudentNotYetKnown(NotFound):
    """We have not heard of this student, or they are at no school of this token."""


class Body(BaseModel):
    """What comes with a step: nothing but what is named here."""

    model_config = ConfigDict(extra="forbid")


class Undated(Body):
    """What comes with a step that has content enough to tell it from others; ``on``, the day it was taken, may be said."""

    on: date | None = None


class Dated(Body):
    """What comes with a step that needs its day."""

    model_config = ConfigDict(json_schema_extra={"example": {"on": "2026-10-12"}})

    on: date


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
        json_schema_extra={"example": {"kind": "student", "role": "caused_harm", "student_id": _AN_ID}}
    )

    kind: Literal[Kind.STUDENT]
    role: Role
    student_id: UUID


class StaffParty(Undated):
    """A staff member as a party."""

    model_config = ConfigDict(json_schema_extra={"example": {"kind": "staff", "role": "harmed", "staff_id": _AN_ID}})

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

    model_config = ConfigDict(json_schema_extra={"example": {"party_id": _AN_ID, "on": "2026-10-14"}})

    party_id: UUID


class Appointment(Undated):
    """When and where; the place is sealed."""

    model_config = ConfigDict(json_schema_extra={"example": {"at": "2026-10-16T10:00:00-06:00", "place": "Room 12"}})

    at: AwareDatetime
    place: Words


class ItemAgreed(Body):
    """One thing that was agreed; without ``for_party`` it is for all."""

    what: Words
    by_party: UUID
    for_party: UUID | None = None
    kind: ItemKind
    due_on: date


class AgreementMade(Undated):
    """The items of the agreement."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [{"what": "Repair the shelf", "by_party": _AN_ID, "kind": "restitution", "due_on": "2026-10-30"}]
            }
        }
    )

    items: Annotated[list[ItemAgreed], Field(min_length=1, max_length=50)]


class Evidence(Dated):
    """How the facilitator knows that an item was kept."""

    model_config = ConfigDict(json_schema_extra={"example": {"on": "2026-10-28", "evidence": "Seen it on its wall."}})

    evidence: Words


class Reasoned(Dated):
    """A step that ends the conference, and why."""

    model_config = ConfigDict(json_schema_extra={"example": {"on": "2026-10-28", "reason": "The family has moved."}})

    reason: Words


@dataclass
class Desk:
    """One referral, locked, before a facilitator who may take steps on it."""

    session: AsyncSession
    vault: Vault
    case: Case
    who: Principal
    staff_id: UUID
    now: datetime
    today: date

    def earlier(self, step: str, content: dict[str, Any]) -> StepRow | None:
        """The recorded step that has this content, if there is one."""
        wanted = canonical(content)
        same = (row for row in self.case.steps if row.step == step and row.content is not None)
        return next((row for row in same if opened(self.vault, row, "content") == wanted), None)

    async def take(
        self, step: steps.Step, content: dict[str, Any], *, party_id: UUID | None = None, texts: Sequence[Text] = ()
    ) -> None:
        """Take the step, unless it was taken already, and seal ``texts`` in the rows it made or changed."""
        if self.earlier(step.name, content) is not None:
            return
        self.case.become(steps.decide(self.case.conference, step, today=self.today))
        for row_id, column, text in texts:
            seal(self.vault, self.case.row(row_id), column, text)
        row = self.case.note(step.name, at=self.now, on=step.on, staff_id=self.staff_id, party_id=party_id)
        seal(self.vault, row, "content", canonical(content))
        await announce(self.session, facts(self.case))

    async def decline(self, refusal: steps.Refuse) -> None:
        """Go on without a party, or end the conference, and keep no record of who refused."""
        before = self.case.conference
        after = steps.decide(before, refusal, today=self.today)
        self.case.become(after)
        if after.state is State.DECLINED and before.state is not State.DECLINED:
            self.case.note("decline", at=self.now, on=refusal.on, staff_id=self.staff_id)
            await announce(self.session, facts(self.case))

    def shown(self) -> ReferralShown:
        """The referral as it stands now."""
        return show(self.case, self.vault)


async def open_desk(
    referral_id: UUID, who: Facilitator, session: Session, runtime: RuntimeOf, now: Now, today: Today
) -> Desk:
    """The referral, locked until the end of the request.

    Raises:
        NotFound: it is not visible.
        FacilitatorNamed: an action names this facilitator.
        FacilitatorIsParty: they were harmed, or caused harm.
    """
    case = await read_case(session, referral_id, visible_to(who, col(Referral.school_id)), lock=True)
    named = await staff_named(session, case.referral.student_id, case.referral.incident_id)
    staff_id = check_impartial(who.staff_id, named=named, parties=case.conference.parties)
    return Desk(session, runtime.vault, case, who, staff_id, now, today)


At = Annotated[Desk, Depends(open_desk, scope="function")]
_PATH = "/v1/referrals/{referral_id}"


@router.post(f"{_PATH}/screen")
async def screen_referral(body: Screening, desk: At) -> ReferralShown:
    """Judge whether a conference is suitable."""
    step = steps.Screen(**body.model_dump(exclude={"reason"}))
    await desk.take(step, _sent(body))
    return desk.shown()


@router.post(f"{_PATH}/parties", status_code=status.HTTP_201_CREATED, responses={200: {"model": PartyId}})
async def add_party(
    body: Annotated[StudentParty | StaffParty | NamedParty, Field(discriminator="kind")], desk: At, response: Response
) -> PartyId:
    """Add a person to the conference."""
    known = desk.earlier(steps.AddParty.name, _sent(body))
    if known is not None and known.party_id is not None:
        response.status_code = status.HTTP_200_OK
        return PartyId(id=known.party_id)
    people = body.model_dump(exclude={"name", "on"})
    school_id = await _school_of(desk, body.student_id) if isinstance(body, StudentParty) else None
    party = Party(id=uuid_utils.uuid7(), school_id=school_id, **people)
    texts = [(party.id, "name", body.name)] if isinstance(body, NamedParty) else []
    await desk.take(steps.AddParty(on=body.on, party=party), _sent(body), party_id=party.id, texts=texts)
    return PartyId(id=party.id)


@router.post(f"{_PATH}/offer")
async def offer_conference(body: Offering, desk: At) -> ReferralShown:
    """Offer the conference to everybody; from now on the proposed days stay as they are."""
    await desk.take(steps.Offer(on=body.offered_on), _sent(body))
    return desk.shown()


@router.post(f"{_PATH}/parties/{{party_id}}/consent")
async def record_consent(party_id: UUID, body: Answer, desk: At) -> ReferralShown:
    """Record a party's answer. Of a refusal only its consequence is kept."""
    step = steps.answer(desk.case.conference, party_id, given=body.given, part=body.part, on=body.on)
    if isinstance(step, steps.Refuse):
        await desk.decline(step)
    else:
        content = {"party_id": str(party_id), "on": body.on.isoformat(), "part": step.part}
        await desk.take(step, content, party_id=party_id)
    return desk.shown()


@router.post(f"{_PATH}/prepare")
async def prepare_party(body: Preparation, desk: At) -> ReferralShown:
    """Record that a party was prepared apart."""
    await desk.take(steps.Prepare(on=body.on, party_id=body.party_id), _sent(body), party_id=body.party_id)
    return desk.shown()


@router.post(f"{_PATH}/schedule")
async def schedule_conference(body: Appointment, desk: At) -> ReferralShown:
    """Set time and place, or change them."""
    await desk.take(steps.Schedule(on=body.on, at=body.at), _sent(body))
    return desk.shown()


@router.post(f"{_PATH}/hold")
async def hold_conference(body: Dated, desk: At) -> ReferralShown:
    """Record that the conference took place."""
    await desk.take(steps.Hold(on=body.on), _sent(body))
    return desk.shown()


@router.post(f"{_PATH}/agreement")
async def record_agreement(body: AgreementMade, desk: At) -> ReferralShown:
    """Write down what was agreed."""
    items = tuple(Item(id=uuid_utils.uuid7(), **item.model_dump(exclude={"what"})) for item in body.items)
    step = steps.MakeAgreement(on=body.on, items=items)
    texts = [(item.id, "what", agreed.what) for item, agreed in zip(items, body.items, strict=True)]
    await desk.take(step, _sent(body), texts=texts)
    return desk.shown()


@router.post(f"{_PATH}/items/{{item_id}}/keep")
async def keep_item(item_id: UUID, body: Evidence, desk: At) -> ReferralShown:
    """Record that an item was kept; this facilitator verified it."""
    step = steps.Keep(on=body.on, item_id=item_id, verified_by=desk.staff_id)
    content = _sent(body) | {"item_id": str(item_id)}
    await desk.take(step, content, texts=[(item_id, "evidence", body.evidence)])
    return desk.shown()


@router.post(f"{_PATH}/complete")
async def complete_conference(body: Dated, desk: At) -> ReferralShown:
    """Close the agreement: every item is kept."""
    await desk.take(steps.Complete(on=body.on), _sent(body))
    return desk.shown()


@router.post(f"{_PATH}/breach")
async def breach_agreement(body: Reasoned, desk: At) -> ReferralShown:
    """Record that the agreement was not kept; the ordinary process resumes."""
    await desk.take(steps.Breach(on=body.on), _sent(body))
    return desk.shown()


@router.post(f"{_PATH}/no-agreement")
async def end_without_agreement(body: Reasoned, desk: At) -> ReferralShown:
    """Record that no consensus was found; the ordinary process resumes."""
    await desk.take(steps.EndWithoutAgreement(on=body.on), _sent(body))
    return desk.shown()


@router.post(f"{_PATH}/withdraw")
async def withdraw_referral(body: Reasoned, desk: At) -> ReferralShown:
    """Take the referral back."""
    await desk.take(steps.Withdraw(on=body.on), _sent(body))
    return desk.shown()


def _sent(body: BaseModel) -> dict[str, Any]:
    return body.model_dump(mode="json")


async def _school_of(desk: Desk, student_id: UUID) -> str:
    """The school by which a student belongs to this token: the referral's own if they are there, else the latest."""
    about = (
        col(Enrolment.student_id) == student_id,
        ~col(Enrolment.deleted),
        visible_to(desk.who, col(Enrolment.school_id)),
    )
    here = (col(Enrolment.school_id) == desk.case.referral.school_id).desc()
    latest = sa.select(col(Enrolment.school_id)).where(*about).order_by(here, col(Enrolment.entry_on).desc())
    school_id = await desk.session.scalar(latest.limit(1))
    if school_id is None:
        raise StudentNotYetKnown
    return school_id
