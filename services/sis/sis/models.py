"""Tables: what the SIS told, what we said, and every earlier version of both."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

from common.db import Table
from common.sealed import Sealed


def _time(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=sa.Column(sa.DateTime(timezone=True), nullable=nullable))


_ASSOCIATES = """
    resource IN (
        'studentSchoolAssociations', 'staffEducationOrganizationAssignmentAssociations', 'staffSectionAssociations'
    )
"""


_GROUPS = "resource = 'studentEducationOrganizationAssociations'"


class Document(Table, table=True):
    """One Ed-Fi document as the SIS last told it, found by its natural key; a deleted one stays, marked."""

    __tablename__ = "sis_document"
    __table_args__ = (
        sa.Index("sis_document_key", "resource", "key", unique=True),
        sa.Index("sis_document_day", "school_id", "on_date", "student_id"),
        sa.Index("sis_document_refs", "refs", postgresql_using="gin"),
        sa.Index("sis_document_groups", "student_id", postgresql_where=sa.text(_GROUPS)),
        sa.Index("sis_document_associates", "school_id", postgresql_where=sa.text(_ASSOCIATES)),
        sa.Index(
            "sis_document_period",
            "school_id",
            sa.text("(body #>> '{gradingPeriodReference,gradingPeriodName}')"),
            postgresql_where=sa.text("resource = 'grades'"),
        ),
        sa.Index(
            "sis_document_course",
            "student_id",
            sa.text("(body #>> '{studentSectionAssociationReference,localCourseCode}')"),
            postgresql_where=sa.text("resource = 'grades'"),
        ),
        sa.Index(
            "sis_document_change_version",
            "change_version",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 32, "autosummarize": True},
        ),
    )

    id: UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))
    resource: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    key: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    body: dict[str, Any] = Field(sa_column=sa.Column(JSONB, nullable=False))
    sealed: bytes | None = Field(default=None, sa_column=sa.Column(Sealed, nullable=True))
    student_id: UUID | None = Field(default=None, sa_column=sa.Column(sa.Uuid, nullable=True))
    school_id: str | None = Field(default=None, sa_column=sa.Column(sa.Text, nullable=True))
    on_date: date | None = Field(default=None, sa_column=sa.Column(sa.Date, nullable=True))
    refs: list[UUID] = Field(sa_column=sa.Column(ARRAY(sa.Uuid), nullable=False))
    revision: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))
    turn: int = Field(sa_column=sa.Column(sa.Integer, nullable=False))
    known_at: datetime = _time()
    source_modified_at: datetime | None = _time(nullable=True)
    deleted: bool = Field(sa_column=sa.Column(sa.Boolean, nullable=False))
    change_version: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))


class Fact(Table, table=True):
    """One fact as we last said it; its id follows from the event type and the fact's key."""

    __tablename__ = "sis_fact"
    __table_args__ = (
        sa.Index("sis_fact_day", "type", "school_id", "on_date", postgresql_where=sa.text("NOT deleted")),
    )

    id: UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))
    type: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    school_id: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    on_date: date | None = Field(default=None, sa_column=sa.Column(sa.Date, nullable=True))
    state: dict[str, Any] = Field(sa_column=sa.Column(JSONB, nullable=False))
    revision: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))
    turn: int = Field(sa_column=sa.Column(sa.Integer, nullable=False))
    known_at: datetime = _time()
    deleted: bool = Field(sa_column=sa.Column(sa.Boolean, nullable=False))


class Revision(Table, table=True):
    """An earlier revision of a document or a fact: what stood from ``known_at`` until the next one."""

    __tablename__ = "sis_revision"

    id: UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))
    revision: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    body: dict[str, Any] = Field(sa_column=sa.Column(JSONB, nullable=False))
    sealed: bytes | None = Field(default=None, sa_column=sa.Column(Sealed, nullable=True))
    known_at: datetime = _time()
    source_modified_at: datetime | None = _time(nullable=True)
    deleted: bool = Field(sa_column=sa.Column(sa.Boolean, nullable=False))


class Unfollowed(Table, table=True):
    """A resource of which documents were stored before what follows from them was known, until that is said."""

    __tablename__ = "sis_unfollowed"

    resource: str = Field(sa_column=sa.Column(sa.Text, primary_key=True))


class Read(Table, table=True):
    """A resource, and a digest of how the district reads it since when; what was stored before may still be gone through."""

    __tablename__ = "sis_read"

    resource: str = Field(sa_column=sa.Column(sa.Text, primary_key=True))
    reading: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    since: datetime = Field(
        sa_column=sa.Column(sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    )


class Restriction(Table, table=True):
    """One coding of the restriction text between a student and a contact; the latest counts, none is overwritten."""

    __tablename__ = "sis_restriction"
    __table_args__ = (sa.Index("sis_restriction_association", "association_id", "revision", unique=True),)

    id: UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))
    association_id: UUID = Field(sa_column=sa.Column(sa.Uuid, nullable=False))
    revision: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))
    codes: list[str] = Field(sa_column=sa.Column(ARRAY(sa.Text), nullable=False))
    expires_on: date | None = Field(default=None, sa_column=sa.Column(sa.Date, nullable=True))
    sealed: bytes | None = Field(default=None, sa_column=sa.Column(Sealed, nullable=True))
    coded_by: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    known_at: datetime = _time()


class SignIn(Table, table=True):
    """A name under which the identity provider knows a member of staff, as a keyed digest."""

    __tablename__ = "sis_sign_in"
    __table_args__ = (sa.Index("sis_sign_in_staff", "staff_id"),)

    digest: bytes = Field(sa_column=sa.Column(sa.LargeBinary, primary_key=True))
    staff_id: UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))


class StaffRelation(Table, table=True):
    """Whom a member of staff answers for, who said so and who ended it; the days before stand in the fact's revisions."""

    __tablename__ = "sis_relation"
    __table_args__ = (
        sa.Index("sis_relation_staff", "staff_id"),
        sa.Index("sis_relation_student", "student_id"),
    )

    id: UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))
    staff_id: UUID = Field(sa_column=sa.Column(sa.Uuid, nullable=False))
    kind: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    student_id: UUID | None = Field(default=None, sa_column=sa.Column(sa.Uuid, nullable=True))
    school_id: str | None = Field(default=None, sa_column=sa.Column(sa.Text, nullable=True))
    grade: str | None = Field(default=None, sa_column=sa.Column(sa.Text, nullable=True))
    begin_on: date = Field(sa_column=sa.Column(sa.Date, nullable=False))
    end_on: date | None = Field(default=None, sa_column=sa.Column(sa.Date, nullable=True))
    made_at: datetime = _time()
    made_by: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    ended_at: datetime | None = _time(nullable=True)
    ended_by: str | None = Field(default=None, sa_column=sa.Column(sa.Text, nullable=True))
    withdrawn: bool = Field(sa_column=sa.Column(sa.Boolean, nullable=False))


class WaitingRow(Table, table=True):
    """A row that waits for the documents ``awaited``, or the mark of one that was taken back; ``id`` is its document's."""

    __tablename__ = "sis_waiting"
    __table_args__ = (
        sa.Index("sis_waiting_key", "resource", "key", unique=True),
        sa.Index("sis_waiting_since", "since", "id"),
        sa.Index("sis_waiting_awaited", "awaited", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
    )

    id: UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))
    resource: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    key: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    sealed: bytes | None = Field(default=None, sa_column=sa.Column(Sealed, nullable=True))
    awaited: list[str] = Field(sa_column=sa.Column(ARRAY(sa.Text), nullable=False))
    source: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    since: datetime = _time()
    revision: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))
    source_modified_at: datetime | None = _time(nullable=True)
    taken_back: bool = Field(sa_column=sa.Column(sa.Boolean, nullable=False))


class Lease(Table, table=True):
    """Until when one holder keeps the closing clock still, by the database's clock."""

    __tablename__ = "sis_lease"

    id: UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))
    until: datetime = _time()


class Client(Table, table=True):
    """An OAuth client of the door: a vendor's exporter. Without ``resources`` or ``schools`` it is bound to none of them."""

    __tablename__ = "sis_client"

    id: UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))
    name: str = Field(sa_column=sa.Column(sa.Text, nullable=False, unique=True))
    role: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    created_at: datetime = _time()
    created_by: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    revoked_at: datetime | None = _time(nullable=True)
    revoked_by: str | None = Field(default=None, sa_column=sa.Column(sa.Text, nullable=True))
    resources: list[str] | None = Field(default=None, sa_column=sa.Column(ARRAY(sa.Text), nullable=True))
    schools: list[str] | None = Field(default=None, sa_column=sa.Column(ARRAY(sa.Text), nullable=True))


class ClientSecret(Table, table=True):
    """A secret of a client, as its digest; good until ``until``, or for ever. One that is over stays, for who made it and when."""

    __tablename__ = "sis_client_secret"
    __table_args__ = (sa.Index("sis_client_secret_client", "client_id"),)

    id: UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))
    client_id: UUID = Field(sa_column=sa.Column(sa.Uuid, nullable=False))
    digest: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    made_at: datetime = _time()
    made_by: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    until: datetime | None = _time(nullable=True)
    last_token_at: datetime | None = _time(nullable=True)


class ClientDocument(Table, table=True):
    """A student, contact or member of staff that a client bound to schools made, so that it sees them before any association."""

    __tablename__ = "sis_client_document"
    __table_args__ = (sa.Index("sis_client_document_client", "client_id"),)

    document_id: UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))
    client_id: UUID = Field(sa_column=sa.Column(sa.Uuid, nullable=False))


class HeardEvent(Table, table=True):
    """A CloudEvent that was taken in: the same source and id again change nothing."""

    __tablename__ = "sis_heard_event"

    source: str = Field(sa_column=sa.Column(sa.Text, primary_key=True))
    id: str = Field(sa_column=sa.Column(sa.Text, primary_key=True))
    heard_at: datetime = _time()


class Arrival(Table, table=True):
    """What one source pushed of one resource on one day; in parts, so that pushes at the same moment do not wait."""

    __tablename__ = "sis_arrival"

    source: str = Field(sa_column=sa.Column(sa.Text, primary_key=True))
    resource: str = Field(sa_column=sa.Column(sa.Text, primary_key=True))
    day: date = Field(sa_column=sa.Column(sa.Date, primary_key=True))
    part: int = Field(sa_column=sa.Column(sa.Integer, primary_key=True, autoincrement=False))
    accepted: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))
    unchanged: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))
    stale: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))
    deleted: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))
    waited: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))
    rejected: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))
    last_at: datetime = _time()
    newest_at: datetime | None = _time(nullable=True)


class Rejected(Table, table=True):
    """A row that was refused, as it came, until it is mended, dismissed or too old."""

    __tablename__ = "sis_rejected"
    __table_args__ = (
        sa.Index("sis_rejected_once", "source", "resource", "digest", unique=True),
        sa.Index("sis_rejected_open", "source", "resource", "id", postgresql_where=sa.text("closed_at IS NULL")),
        sa.Index("sis_rejected_key", "resource", "key", postgresql_where=sa.text("closed_at IS NULL")),
    )

    id: UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))
    source: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    resource: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    digest: bytes = Field(sa_column=sa.Column(sa.LargeBinary, nullable=False))
    key: str | None = Field(default=None, sa_column=sa.Column(sa.Text, nullable=True))
    deletes: bool = Field(sa_column=sa.Column(sa.Boolean, nullable=False))
    sealed: bytes | None = Field(default=None, sa_column=sa.Column(Sealed, nullable=True))
    problem: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    field: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    rule: str = Field(sa_column=sa.Column(sa.Text, nullable=False))
    times: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))
    first_at: datetime = _time()
    last_at: datetime = _time()
    closed_at: datetime | None = _time(nullable=True)
    closed_as: str | None = Field(default=None, sa_column=sa.Column(sa.Text, nullable=True))


class SourceCount(Table, table=True):
    """How many rows a source says it holds, of a resource, at a school (or all: empty), on a day (or ever: infinity)."""

    __tablename__ = "sis_source_count"

    source: str = Field(sa_column=sa.Column(sa.Text, primary_key=True))
    resource: str = Field(sa_column=sa.Column(sa.Text, primary_key=True))
    school_id: str = Field(sa_column=sa.Column(sa.Text, primary_key=True))
    day: date = Field(sa_column=sa.Column(sa.Date, primary_key=True))
    count: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))
    told_at: datetime = _time()
