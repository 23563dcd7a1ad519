"""Tables of ``mtss``.

Attendance is one plain row per student, school and day. Of all other facts every revision stays: the one that stands has
no ``superseded_at``, and what was known at some time is found between ``known_at`` and ``superseded_at``.
"""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlmodel import Field

from common.db import Table


class XID8(sa.types.UserDefinedType[int]):
    """PostgreSQL's transaction ids that never wrap."""

    cache_ok: bool | None = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name."""
        return "xid8"


ischema_names["xid8"] = XID8  # so that what reads a database's tables knows the type


def moment(*, nullable: bool = False) -> Any:
    """A column for a time, aware and in UTC."""
    return Field(default=None, sa_type=sa.DateTime(timezone=True), nullable=nullable)


# The transaction that heard a fact, and the one that heard it superseded: times alone do not tell who saw what.
def transaction(*, nullable: bool = False) -> Any:
    """A column for the transaction that writes the row."""
    default = None if nullable else {"server_default": sa.text("pg_current_xact_id()")}
    return Field(default=None, sa_type=XID8, nullable=nullable, sa_column_kwargs=default or {})


def _standing(table: str, *key: str) -> sa.Index:
    """One revision of each fact stands."""
    return sa.Index(f"{table}_standing", *key, unique=True, postgresql_where=sa.text("superseded_at IS NULL"))


class Student(Table, table=True):
    """A student, locked while anything about them is decided; and where the last decision left them.

    ``school_id`` is the school of the last enrolment. A row without one is a student whose facts came before any
    enrolment: for everybody outside, unknown.
    """

    __tablename__ = "mtss_student"
    __table_args__ = (sa.Index("mtss_student_school", "school_id", "student_id"),)

    student_id: UUID = Field(primary_key=True)
    school_id: str | None
    entry_on: date | None
    exit_on: date | None
    enrolled: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    tier: str | None
    since: date | None
    decision_id: UUID | None
    decisions: int = Field(default=0, sa_column_kwargs={"server_default": sa.text("0")})
    revision: int | None = Field(default=None, sa_type=sa.BigInteger)
    proposal_id: UUID | None
    proposal_since: date | None
    proposal_tier: str | None
    ruling: int = Field(default=0, sa_column_kwargs={"server_default": sa.text("0")})
    """The number of the ruling by which the tier began; 0 where the facts did."""
    adoption: int = Field(default=0, sa_column_kwargs={"server_default": sa.text("0")})
    """The number of the last adoption that counted on their last closed day when they were last decided about."""
    unknown: list[str] | None = Field(default=None, sa_type=ARRAY(sa.String))
    """Names of the clauses of which nothing was known on the last closed day; null as long as there is none."""
    question_id: UUID | None
    """Of what a person is asked about them while too little is known; null: nothing."""
    question_at: datetime | None = moment(nullable=True)
    """When that began."""
    signals_since: dict[str, str] | None = Field(sa_type=JSONB(none_as_null=True))
    """The signals over which clauses stand on the last closed day, and since when; null: there is none, or not looked at since an upgrade."""


class Push(Table, table=True):
    """When the newest thing that was heard from the SIS about a school was accepted at the door."""

    __tablename__ = "mtss_push"

    school_id: str = Field(primary_key=True)
    accepted_at: datetime = moment()


class Attendance(Table, table=True):
    """What is said of one student, school and day. Taken back: nothing missed and no kind, so the revision is kept."""

    __tablename__ = "mtss_attendance"

    student_id: UUID = Field(primary_key=True)
    school_id: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    hundredths_absent: int = Field(sa_type=sa.SmallInteger)
    kind: str | None
    revision: int = Field(sa_type=sa.BigInteger)


class AttendanceChange(Table, table=True):
    """What changed after the school had closed the day."""

    __tablename__ = "mtss_attendance_change"

    student_id: UUID = Field(primary_key=True)
    school_id: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    revision: int = Field(primary_key=True, sa_type=sa.BigInteger)
    before: int = Field(sa_type=sa.SmallInteger)
    after: int = Field(sa_type=sa.SmallInteger)
    kind_before: str | None
    kind_after: str | None
    known_at: datetime = moment()
    known_by: int = transaction()


class Enrolment(Table, table=True):
    """A revision of one enrolment."""

    __tablename__ = "mtss_enrolment"
    __table_args__ = (
        _standing("mtss_enrolment", "student_id", "school_id", "entry_on"),
        sa.Index("mtss_enrolment_school", "school_id"),
    )
    fact: ClassVar[tuple[str, ...]] = ("student_id", "school_id", "entry_on")

    student_id: UUID = Field(primary_key=True)
    school_id: str = Field(primary_key=True)
    entry_on: date = Field(primary_key=True)
    revision: int = Field(primary_key=True, sa_type=sa.BigInteger)
    exit_on: date | None
    is_primary: bool
    grade: str | None
    deleted: bool
    known_at: datetime = moment()
    known_by: int = transaction()
    superseded_at: datetime | None = moment(nullable=True)
    superseded_by: int | None = transaction(nullable=True)


class Calendar(Table, table=True):
    """A revision of the instructional days of one school and school year."""

    __tablename__ = "mtss_calendar"
    __table_args__ = (_standing("mtss_calendar", "school_id", "school_year"),)
    fact: ClassVar[tuple[str, ...]] = ("school_id", "school_year")

    school_id: str = Field(primary_key=True)
    school_year: int = Field(primary_key=True)
    revision: int = Field(primary_key=True, sa_type=sa.BigInteger)
    days: list[date] = Field(sa_type=ARRAY(sa.Date))
    deleted: bool
    known_at: datetime = moment()
    known_by: int = transaction()
    superseded_at: datetime | None = moment(nullable=True)
    superseded_by: int | None = transaction(nullable=True)


class ClosedDay(Table, table=True):
    """A revision of one school's closing of one day."""

    __tablename__ = "mtss_closed_day"
    __table_args__ = (_standing("mtss_closed_day", "school_id", "day"),)
    fact: ClassVar[tuple[str, ...]] = ("school_id", "day")

    school_id: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    revision: int = Field(primary_key=True, sa_type=sa.BigInteger)
    implied: bool
    deleted: bool
    known_at: datetime = moment()
    known_by: int = transaction()
    superseded_at: datetime | None = moment(nullable=True)
    superseded_by: int | None = transaction(nullable=True)


class Incident(Table, table=True):
    """A revision of one behaviour of one student in one incident."""

    __tablename__ = "mtss_incident"
    __table_args__ = (
        _standing("mtss_incident", "association_id"),
        sa.Index("mtss_incident_student", "student_id"),
    )
    fact: ClassVar[tuple[str, ...]] = ("association_id",)

    association_id: UUID = Field(primary_key=True)
    revision: int = Field(primary_key=True, sa_type=sa.BigInteger)
    incident_id: UUID
    student_id: UUID
    school_id: str
    day: date
    injury: bool = False
    damage: bool = False
    deleted: bool
    known_at: datetime = moment()
    known_by: int = transaction()
    superseded_at: datetime | None = moment(nullable=True)
    superseded_by: int | None = transaction(nullable=True)


class Exclusion(Table, table=True):
    """A revision of one disciplinary action on one student, whatever it is: which actions are exclusions the policy says."""

    __tablename__ = "mtss_exclusion"
    __table_args__ = (_standing("mtss_exclusion", "student_id", "action_id"),)
    fact: ClassVar[tuple[str, ...]] = ("student_id", "action_id")

    student_id: UUID = Field(primary_key=True)
    action_id: UUID = Field(primary_key=True)
    revision: int = Field(primary_key=True, sa_type=sa.BigInteger)
    school_id: str
    day: date
    hundredths: int
    """Of a day: served, or as long as nobody says so proposed."""
    actions: str
    """The codes of its descriptors, in the form of ``common.events.sis.plain``, sorted, each a line."""
    deleted: bool
    known_at: datetime = moment()
    known_by: int = transaction()
    superseded_at: datetime | None = moment(nullable=True)
    superseded_by: int | None = transaction(nullable=True)


class Mark(Table, table=True):
    """A revision of one mark: that a course was passed at the end of a grading period, or was not."""

    __tablename__ = "mtss_mark"
    __table_args__ = (_standing("mtss_mark", "mark_id"), sa.Index("mtss_mark_student", "student_id"))
    fact: ClassVar[tuple[str, ...]] = ("mark_id",)

    mark_id: UUID = Field(primary_key=True)
    revision: int = Field(primary_key=True, sa_type=sa.BigInteger)
    student_id: UUID
    section_id: UUID
    school_id: str
    day: date
    """The last day of the grading period."""
    failing: bool
    deleted: bool
    known_at: datetime = moment()
    known_by: int = transaction()
    superseded_at: datetime | None = moment(nullable=True)
    superseded_by: int | None = transaction(nullable=True)


class Score(Table, table=True):
    """A revision of one student's scores in one survey window."""

    __tablename__ = "mtss_score"
    __table_args__ = (_standing("mtss_score", "student_id", "window_id"),)
    fact: ClassVar[tuple[str, ...]] = ("student_id", "window_id")

    student_id: UUID = Field(primary_key=True)
    window_id: UUID = Field(primary_key=True)
    revision: int = Field(primary_key=True, sa_type=sa.BigInteger)
    school_id: str
    instrument: str
    answered_on: date
    scores: list[dict[str, Any]] = Field(sa_type=JSONB)
    deleted: bool
    known_at: datetime = moment()
    known_by: int = transaction()
    superseded_at: datetime | None = moment(nullable=True)
    superseded_by: int | None = transaction(nullable=True)


class Decision(Table, table=True):
    """One line of the ledger: never changed, never removed."""

    __tablename__ = "mtss_decision"
    __table_args__ = (
        sa.UniqueConstraint("student_id", "number"),
        sa.Index("mtss_decision_adopted", "adoption", postgresql_where=sa.text("cause = 'adopted'")),
    )

    id: UUID = Field(primary_key=True)
    student_id: UUID
    number: int
    school_id: str
    tier: str | None
    tier_before: str | None
    cause: str
    policy: str
    effective_on: date
    through: date | None
    known_at: datetime = moment()
    revision: int = Field(sa_type=sa.BigInteger)
    clauses: list[dict[str, Any]] = Field(sa_type=JSONB)
    what_would_change_it: str
    facts: dict[str, Any] = Field(sa_type=JSONB)
    """For each kind of fact how many rows it rests on, and their digest; and the digest of the policy."""
    digest: str
    """Of everything else in this row."""
    tells_families: bool = Field(default=True, sa_column_kwargs={"server_default": sa.true()})
    adoption: int = Field(default=0, sa_column_kwargs={"server_default": sa.text("0")})
    """The number of the last adoption when it was made."""
    ruling: int = Field(default=0, sa_column_kwargs={"server_default": sa.text("0")})
    """The number of the ruling by which the tier began; 0 where the facts did."""
    tier_beneath: str | None
    """The tier without the override, where one stands."""
    adopted_after: int | None
    """Where it was made by an adoption alone, the one under which the decision before would still stand."""
