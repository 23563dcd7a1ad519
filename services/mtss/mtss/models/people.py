"""Tables of what is put before people, what they decide, and what they ask for."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from common.db import Table
from common.links import PersonalLink
from common.sealed import Sealed
from mtss.models.tables import moment, transaction


class Proposal(Table, table=True):
    """The beginning or the end of a tier put before a person, with its evidence; open until answered or its ground is gone."""

    __tablename__ = "mtss_proposal"
    __table_args__ = (
        sa.Index("mtss_proposal_open", "student_id", unique=True, postgresql_where=sa.text("closed_at IS NULL")),
        sa.Index("mtss_proposal_school", "school_id", postgresql_where=sa.text("closed_at IS NULL")),
    )

    id: UUID = Field(primary_key=True)
    student_id: UUID
    school_id: str
    tier: str
    tier_before: str | None
    since: date
    policy: str
    clauses: list[dict[str, Any]] = Field(sa_type=JSONB)
    known_at: datetime = moment()
    closed_at: datetime | None = moment(nullable=True)
    facts: dict[str, Any] = Field(sa_type=JSONB)
    """What it rests on, as a decision keeps it; nothing of proposals from before it was kept."""
    adoption: int = Field(default=0, sa_column_kwargs={"server_default": sa.text("0")})
    """The number of the last adoption when it was made."""
    digest: str
    """Of everything else in this row but when it was closed."""


class Ruling(Table, table=True):
    """What a person decided about one student: never changed, never removed, only followed by another.

    ``kind``: accepted or declined (a proposal), overridden (the policy, until a day), withdrawn (an override), that a support has
    begun or ended, or looked (at a student of whom too little is known).
    """

    __tablename__ = "mtss_ruling"
    __table_args__ = (sa.UniqueConstraint("student_id", "number"),)

    id: UUID = Field(primary_key=True, default_factory=uuid_utils.uuid7)
    student_id: UUID
    number: int
    kind: str
    tier: str
    made_on: date
    until: date | None = None
    proposal_id: UUID | None = None
    support_id: UUID | None = None
    reason: bytes = Field(default=None, sa_type=Sealed)
    by: str
    known_at: datetime = moment()
    known_by: int = transaction()


class Handover(Table, table=True):
    """Something to review, handed to a member of staff: never changed, the last one counts.

    It is of a student, or of a school, or of the whole district.
    """

    __tablename__ = "mtss_handover"
    __table_args__ = (sa.Index("mtss_handover_review", "review_id"), sa.Index("mtss_handover_staff", "staff_id"))

    id: UUID = Field(primary_key=True, default_factory=uuid_utils.uuid7)
    review_id: UUID
    student_id: UUID | None
    school_id: str | None
    staff_id: UUID
    reason: bytes = Field(default=None, sa_type=Sealed)
    by: str
    at: datetime = moment()


class Author(StrEnum):
    """Who asks for help."""

    STAFF = "staff"
    STUDENT = "student"
    FAMILY = "family"


class HelpLink(PersonalLink, table=True):
    """The link with which a student, or a contact of theirs, asks for help. Each of them has at most one that is not revoked.

    ``holder_id``: the student, or the contact as sis knows them.
    """

    __tablename__ = "mtss_help_link"
    __table_args__ = (
        sa.Index(
            "mtss_help_link_live",
            "student_id",
            "holder_id",
            unique=True,
            postgresql_where=sa.text("revoked_at IS NULL"),
        ),
    )

    id: UUID = Field(default_factory=uuid_utils.uuid7, unique=True)
    author: str
    holder_id: UUID
    issued_by: str
    expires_on: date
    """The last day on which it works."""


class HelpRequest(Table, table=True):
    """Somebody asked for help for a student. What they wrote is sealed; it is answered once, with what was done.

    ``by``: who asked; over a link its holder.
    """

    __tablename__ = "mtss_help_request"
    __table_args__ = (sa.Index("mtss_help_request_student", "student_id"),)

    id: UUID = Field(primary_key=True, default_factory=uuid_utils.uuid7)
    student_id: UUID
    asked_on: date
    author: str = Author.STAFF
    by: str
    words: bytes = Field(default=None, sa_type=Sealed)
    signs: bytes | None = Field(default=None, sa_type=Sealed)
    """What staff noticed, by the names in the catalogue, each a line."""
    urgent: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    """Whether it is to be answered on the same day."""
    known_at: datetime = moment()
    known_by: int = transaction()
    answered_on: date | None = None
    answered_by: str | None = None
    answer: bytes | None = Field(default=None, sa_type=Sealed)
