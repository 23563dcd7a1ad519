"""What notifications remembers. No address and no text of a message: those are fetched when they are used."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

from common.db import Table
from common.sealed import Sealed

_MOMENT = sa.DateTime(timezone=True)
_DATABASE_CLOCK = sa.text("now()")


class Calendar(Table, table=True):
    """The instructional days of one school in one school year."""

    __tablename__ = "notifications_calendar"

    school_id: str = Field(primary_key=True)
    school_year: int = Field(primary_key=True)
    revision: int = Field(sa_type=sa.BigInteger)
    instructional_days: list[date] = Field(sa_type=ARRAY(sa.Date))


class Fact(Table, table=True):
    """What we last heard about one matter of one student, and whether it is so."""

    __tablename__ = "notifications_fact"

    student_id: UUID = Field(primary_key=True)
    purpose: str = Field(primary_key=True)
    ground: str = Field(primary_key=True)
    revision: int = Field(sa_type=sa.BigInteger)
    stands: bool
    decision_id: UUID | None = None


class Occasion(Table, table=True):
    """Something to tell a student's families. Whichever event brings it, it is one row."""

    __tablename__ = "notifications_occasion"
    __table_args__ = (
        sa.UniqueConstraint("student_id", "purpose", "ground", "effective_on"),
        sa.Index("notifications_occasion_open", "ask_at", postgresql_where=sa.text("state = 'open'")),
    )

    id: UUID = Field(primary_key=True)
    student_id: UUID
    school_id: str
    purpose: str
    ground: str
    effective_on: date
    heard_at: datetime = Field(sa_column=sa.Column(_MOMENT, nullable=False, server_default=_DATABASE_CLOCK))
    state: str = Field(default="open", description="open, settled, held, cancelled")
    reason: str = ""
    ask_at: datetime | None = Field(default=None, sa_column=sa.Column(_MOMENT))
    doubtful: bool = Field(
        default=False, description="Opened or left open by a restored database: it may have been told."
    )


class Notice(Table, table=True):
    """One household to be told of one occasion, and how it went."""

    __tablename__ = "notifications_notice"
    __table_args__ = (
        sa.UniqueConstraint("student_id", "purpose", "ground", "effective_on", "recipient"),
        sa.Index("notifications_notice_due", "not_before", postgresql_where=sa.text("state = 'pending'")),
        sa.Index("notifications_notice_occasion", "occasion_id"),
        sa.Index("notifications_notice_told", "told_on"),
    )

    id: UUID = Field(primary_key=True)
    occasion_id: UUID = Field(foreign_key="notifications_occasion.id")
    student_id: UUID
    school_id: str
    purpose: str
    ground: str
    effective_on: date
    recipient: UUID
    household: list[UUID] = Field(default_factory=list, sa_type=ARRAY(sa.Uuid))
    state: str = Field(
        default="pending",
        description="pending, held, cancelled, attempting, accepted, rejected, uncertain, delivered, failed",
    )
    reason: str = ""
    channel: str | None = None
    language: str = ""
    text_language: str = ""
    fallback: bool = False
    why: dict[str, Any] = Field(default_factory=dict, sa_type=JSONB)
    not_before: datetime | None = Field(default=None, sa_column=sa.Column(_MOMENT))
    decided_at: datetime | None = Field(default=None, sa_column=sa.Column(_MOMENT))
    told_on: date | None = None


class Attempt(Table, table=True):
    """One try to tell a household through one channel. At most one may have reached it."""

    __tablename__ = "notifications_attempt"
    __table_args__ = (
        sa.UniqueConstraint("notice_id", "number"),
        sa.Index(
            "notifications_attempt_one_contact",
            "notice_id",
            unique=True,
            postgresql_where=sa.text("state IN ('attempting', 'accepted', 'uncertain', 'delivered')"),
        ),
        sa.Index("notifications_attempt_lease", "lease_until", postgresql_where=sa.text("state = 'attempting'")),
    )

    fence: int | None = Field(
        default=None, sa_column=sa.Column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    )
    notice_id: UUID = Field(foreign_key="notifications_notice.id")
    number: int
    channel: str
    mailbox: str | None = Field(default=None, description="The keyed digest of the mailbox it went to.")
    worker: UUID
    lease_until: datetime = Field(sa_column=sa.Column(_MOMENT, nullable=False))
    state: str = Field(description="attempting, accepted, rejected, uncertain, delivered, failed")
    words: str = ""
    reached: bool = True
    started_at: datetime = Field(sa_column=sa.Column(_MOMENT, nullable=False, server_default=_DATABASE_CLOCK))
    ended_at: datetime | None = Field(default=None, sa_column=sa.Column(_MOMENT))
    again: bool = Field(default=False, description="Refused for now: the same mailbox may be tried again.")


class Letter(Table, table=True):
    """One letter in the print queue."""

    __tablename__ = "notifications_letter"

    id: UUID = Field(primary_key=True, foreign_key="notifications_notice.id")
    student_id: UUID
    school_id: str
    pdf: bytes = Field(sa_column=sa.Column(Sealed, nullable=False))
    made_at: datetime = Field(sa_column=sa.Column(_MOMENT, nullable=False))
    printed_at: datetime | None = Field(default=None, sa_column=sa.Column(_MOMENT))


class OptOut(Table, table=True):
    """A mailbox whose owner wants no more e-mail of this kind."""

    __tablename__ = "notifications_opt_out"

    mailbox: str = Field(primary_key=True, description="The keyed digest of the mailbox.")
    at: datetime = Field(sa_column=sa.Column(_MOMENT, nullable=False))


class StopLink(Table, table=True):
    """A link by which the owner of a mailbox stops e-mail; only its digest is kept."""

    __tablename__ = "notifications_stop_link"
    __table_args__ = (sa.Index("notifications_stop_link_mailbox", "mailbox"),)

    digest: str = Field(primary_key=True)
    mailbox: str
    made_at: datetime = Field(sa_column=sa.Column(_MOMENT, nullable=False))
    revoked_at: datetime | None = Field(default=None, sa_column=sa.Column(_MOMENT))


class Pepper(Table, table=True):
    """The secret that keeps digests of mailboxes from being guessed."""

    __tablename__ = "notifications_pepper"

    id: int = Field(primary_key=True)
    secret: bytes = Field(sa_column=sa.Column(Sealed, nullable=False))


class Switch(Table, table=True):
    """Every time a person switched sending on or off; the last row counts."""

    __tablename__ = "notifications_switch"

    id: int | None = Field(default=None, sa_column=sa.Column(sa.BigInteger, sa.Identity(always=True), primary_key=True))
    on: bool = Field(sa_column=sa.Column("is_on", sa.Boolean, nullable=False))
    server: str = Field(description="Host and port it was switched on for.")
    seen: int
    by: str = Field(sa_column=sa.Column("switched_by", sa.Text, nullable=False))
    at: datetime = Field(sa_column=sa.Column("switched_at", _MOMENT, nullable=False))


class Task(Table, table=True):
    """Something only a person can settle."""

    __tablename__ = "notifications_task"
    __table_args__ = (
        sa.UniqueConstraint("kind", "about"),
        sa.Index("notifications_task_open", "made_at", postgresql_where=sa.text("resolved_at IS NULL")),
    )

    id: UUID = Field(primary_key=True)
    kind: str
    about: str = Field(description="What it is about: a notice, an occasion or a day.")
    student_id: UUID | None = None
    school_id: str | None = None
    notice_id: UUID | None = None
    made_at: datetime = Field(sa_column=sa.Column(_MOMENT, nullable=False, server_default=_DATABASE_CLOCK))
    resolved_at: datetime | None = Field(default=None, sa_column=sa.Column(_MOMENT))
    resolved_by: str | None = None
    outcome: str | None = None


class Alert(Table, table=True):
    """An alert of sis as it was last heard, and when district IT was told of it at this age."""

    __tablename__ = "notifications_alert"

    kind: str = Field(primary_key=True)
    about: str = Field(primary_key=True)
    since: date = Field(primary_key=True)
    school_days: int
    revision: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))
    over: bool
    told_at: datetime | None = Field(default=None, sa_column=sa.Column(_MOMENT))


class UrgentHelp(Table, table=True):
    """A request for help that cannot wait, how often staff were told of it, and when they are again while nobody answers it."""

    __tablename__ = "notifications_urgent_help"

    request_id: UUID = Field(primary_key=True)
    school_id: str
    revision: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False))
    answered: bool
    told: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    tell_at: datetime | None = Field(default=None, sa_column=sa.Column(_MOMENT, server_default=_DATABASE_CLOCK))
    """None once nobody is told again."""
