"""Tables. Free text and names are sealed; ids, states and dates are not."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

from common.db import Table
from common.sealed import Sealed


def _at(*, nullable: bool = False) -> Any:
    return sa.Column(sa.DateTime(timezone=True), nullable=nullable)


def _many(of: Any) -> Any:
    return sa.Column(ARRAY(of), nullable=False)


class Enrolment(Table, table=True):
    """A student's enrolment, as far as it says to which school a student belongs."""

    __tablename__ = "restorative_enrolment"

    student_id: UUID = Field(primary_key=True)
    school_id: str = Field(primary_key=True)
    entry_on: date = Field(primary_key=True)
    revision: int = Field(sa_type=sa.BigInteger)
    deleted: bool


class Incident(Table, table=True):
    """One behaviour of a student in an incident; several may stand for one student and incident."""

    __tablename__ = "restorative_incident"
    __table_args__ = (sa.Index("restorative_incident_student", "student_id", "incident_id"),)

    association_id: UUID = Field(primary_key=True)
    incident_id: UUID
    student_id: UUID
    school_id: str
    on: date
    revision: int = Field(sa_type=sa.BigInteger)
    deleted: bool


class Referral(Table, table=True):
    """One student and one incident: the conference about them, and the days of exclusion at stake."""

    __tablename__ = "restorative_referral"
    __table_args__ = (
        sa.UniqueConstraint("student_id", "incident_id", name="restorative_referral_once"),
        sa.Index("restorative_referral_school", "school_id", "id"),
    )

    id: UUID = Field(primary_key=True)
    student_id: UUID
    incident_id: UUID
    school_id: str
    happened_on: date
    opened_at: datetime = Field(sa_column=_at())
    by_hand: bool
    policy: str
    state: str
    suitable: bool | None = None
    taken_back: bool = False
    offered_on: date | None = None
    scheduled_at: datetime | None = Field(default=None, sa_column=_at(nullable=True))
    held_on: date | None = None
    ended_on: date | None = None
    hundredths_proposed: int = 0
    hundredths_served: int = 0


class Facilitator(Table, table=True):
    """Who has taken a step in a conference holds it while they work at its school, and sees it wherever its student goes to one."""

    __tablename__ = "restorative_facilitator"
    __table_args__ = (sa.Index("restorative_facilitator_student", "staff_id", "student_id"),)

    referral_id: UUID = Field(primary_key=True, foreign_key="restorative_referral.id")
    staff_id: UUID = Field(primary_key=True)
    student_id: UUID
    school_id: str


class Action(Table, table=True):
    """One disciplinary action on one student, as last heard, with what was frozen when we first saw an exclusion in it."""

    __tablename__ = "restorative_action"
    __table_args__ = (sa.Index("restorative_action_student", "student_id"),)

    action_id: UUID = Field(primary_key=True)
    student_id: UUID = Field(primary_key=True)
    incident_ids: list[UUID] = Field(sa_column=_many(sa.Uuid))
    descriptors: list[str] = Field(sa_column=_many(sa.Text))
    staff_ids: list[UUID] = Field(sa_column=_many(sa.Uuid))
    on: date
    first_heard_on: date
    hundredths_frozen: int | None = None
    hundredths_served: int | None = None
    referral_id: UUID | None = Field(default=None, foreign_key="restorative_referral.id")
    revision: int = Field(sa_type=sa.BigInteger)
    deleted: bool


class PartyRow(Table, table=True):
    """One person of a conference. Ids grow with time: they give the order of parties, items and steps."""

    __tablename__ = "restorative_party"
    __table_args__ = (sa.Index("restorative_party_referral", "referral_id", "id"),)

    id: UUID = Field(primary_key=True)
    referral_id: UUID = Field(foreign_key="restorative_referral.id")
    kind: str
    role: str
    student_id: UUID | None = None
    school_id: str | None = None
    staff_id: UUID | None = None
    name: bytes | None = Field(default=None, sa_type=Sealed)
    part: str | None = None
    agreed_on: date | None = None
    prepared_on: date | None = None


class ItemRow(Table, table=True):
    """One item of an agreement."""

    __tablename__ = "restorative_item"
    __table_args__ = (sa.Index("restorative_item_referral", "referral_id", "id"),)

    id: UUID = Field(primary_key=True)
    referral_id: UUID = Field(foreign_key="restorative_referral.id")
    what: bytes = Field(sa_type=Sealed)
    kind: str
    by_party: UUID
    for_party: UUID | None = None
    due_on: date
    kept_on: date | None = None
    verified_by: UUID | None = None
    evidence: bytes | None = Field(default=None, sa_type=Sealed)


class StepRow(Table, table=True):
    """One step taken. Its content is sealed: it shows a repeat for what it is, and facilitators what was written."""

    __tablename__ = "restorative_step"
    __table_args__ = (sa.Index("restorative_step_referral", "referral_id", "id"),)

    id: UUID = Field(primary_key=True)
    referral_id: UUID = Field(foreign_key="restorative_referral.id")
    step: str
    on: date | None = None
    taken_at: datetime = Field(sa_column=_at())
    staff_id: UUID | None = None
    party_id: UUID | None = None
    content: bytes | None = Field(default=None, sa_type=Sealed)


class Said(Table, table=True):
    """One fact as we last said it."""

    __tablename__ = "restorative_said"

    type: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    revision: int = Field(sa_type=sa.BigInteger)
    body: dict[str, Any] = Field(sa_type=JSONB)
