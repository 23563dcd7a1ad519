"""Tables of ``surveys``, and the selects that more than one route needs."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, Insert, distinct_on, insert
from sqlmodel import Field, col

from common.db import Table
from common.events import SubscaleScore, SurveyScored
from common.links import PersonalLink
from common.sealed import Sealed, Vault
from surveys import rules


def _at() -> Any:
    return sa.Column(sa.DateTime(timezone=True), nullable=False)


class Window(Table, table=True):
    """An instrument, asked of the students of some schools on some days. Never changed but for its notice."""

    __tablename__ = "surveys_window"

    id: UUID = Field(primary_key=True)
    key: str = Field(unique=True)
    instrument: str
    schools: list[str] = Field(sa_column=sa.Column(ARRAY(sa.Text), nullable=False))
    opens_on: date
    closes_on: date
    audience: str
    notice_kind: str | None
    notice_sent_on: date | None
    notice_text_reference: str | None
    created_at: datetime = Field(sa_column=_at())

    def rule(self) -> rules.Window:
        """The window as the rules see it."""
        kind = rules.NoticeKind(self.notice_kind) if self.notice_kind else None
        return rules.Window(self.opens_on, self.closes_on, kind)


class Enrolment(Table, table=True):
    """The last revision heard of an enrolment: it says which students belong to a window."""

    __tablename__ = "surveys_enrolment"

    student_id: UUID = Field(primary_key=True)
    school_id: str = Field(primary_key=True, index=True)
    entry_on: date = Field(primary_key=True)
    exit_on: date | None
    primary: bool
    deleted: bool
    revision: int = Field(sa_type=sa.BigInteger)

    def rule(self) -> rules.Enrolment:
        """The enrolment as the rules see it."""
        return rules.Enrolment(self.school_id, self.entry_on, self.exit_on, self.primary)


class Consent(Table, table=True):
    """What was said for a student, once a row; the last row stands, the others are the history."""

    __tablename__ = "surveys_consent"
    __table_args__ = (sa.Index("surveys_consent_last", "window_id", "student_id", "id"),)

    id: int = Field(sa_column=sa.Column(sa.BigInteger, sa.Identity(always=True), primary_key=True))
    window_id: UUID = Field(foreign_key="surveys_window.id")
    student_id: UUID
    state: str
    by: str
    on: date
    recorded_by: str
    recorded_at: datetime = Field(sa_column=_at())


class Link(PersonalLink, table=True):
    """The link of a student to a window. A student has at most one that is not revoked."""

    __tablename__ = "surveys_link"
    __table_args__ = (
        sa.Index(
            "surveys_link_live", "window_id", "student_id", unique=True, postgresql_where=sa.text("revoked_at IS NULL")
        ),
    )

    window_id: UUID = Field(foreign_key="surveys_window.id")


class Draft(Table, table=True):
    """Answers a student saved and has not sent."""

    __tablename__ = "surveys_draft"

    window_id: UUID = Field(primary_key=True, foreign_key="surveys_window.id")
    student_id: UUID = Field(primary_key=True)
    answers: bytes = Field(sa_column=sa.Column(Sealed, nullable=False))
    language: str
    saved_at: datetime = Field(sa_column=_at())


class Response(Table, table=True):
    """A student's answers in one window, and the scores that were said of them."""

    __tablename__ = "surveys_response"

    window_id: UUID = Field(primary_key=True, foreign_key="surveys_window.id")
    student_id: UUID = Field(primary_key=True)
    school_id: str
    instrument: str
    answered_on: date
    language: str
    source: str
    answers: bytes = Field(sa_column=sa.Column(Sealed, nullable=False))
    scores: list[dict[str, Any]] = Field(sa_column=sa.Column(JSONB, nullable=False))
    straight_line: bool
    revision: int = Field(sa_type=sa.BigInteger)
    recorded_at: datetime = Field(sa_column=_at())

    def event(self) -> SurveyScored:
        """What is said of it: its subscale means, none of its answers."""
        return SurveyScored(
            student_id=self.student_id,
            window_id=self.window_id,
            school_id=self.school_id,
            instrument=self.instrument,
            answered_on=self.answered_on,
            scores=tuple(SubscaleScore(**score) for score in self.scores),
            revision=self.revision,
        )


class Result(Table, table=True):
    """What a school and its sections came to in a window, as told: counted once, so that no two readings can be compared."""

    __tablename__ = "surveys_result"

    window_id: UUID = Field(primary_key=True, foreign_key="surveys_window.id")
    school_id: str = Field(primary_key=True)
    counted_at: datetime = Field(sa_column=_at())
    groups: list[dict[str, Any]] = Field(sa_column=sa.Column(JSONB, nullable=False))


def insert_all(rows: Sequence[Table]) -> Insert:
    """One INSERT of rows of one table, whatever their number: an array for each column."""
    columns = list(sa.inspect(type(rows[0])).local_table.columns)
    arrays = [
        sa.cast([getattr(row, column.name) for row in rows], ARRAY(column.type, dimensions=1)) for column in columns
    ]
    names = [column.name for column in columns]
    unnested = sa.func.unnest(*arrays).table_valued(*names).render_derived()
    return insert(type(rows[0])).from_select(names, sa.select(*unnested.columns))


def seal(vault: Vault, table: type[Draft | Response], window: UUID, student: UUID, answers: str) -> bytes:
    """Answers, as JSON, sealed for the row of this window and student."""
    return vault.seal(answers, table=str(table.__tablename__), column="answers", row=f"{window}/{student}")


def unseal(vault: Vault, row: Draft | Response) -> str:
    """The answers of a row, as JSON."""
    return vault.open(
        row.answers, table=str(row.__tablename__), column="answers", row=f"{row.window_id}/{row.student_id}"
    )


def enrolled(window: Window) -> sa.ColumnElement[bool]:
    """Which enrolments put a student into the window: at one of its schools, while it is open, no no-show."""
    return sa.and_(
        col(Enrolment.school_id).in_(window.schools),
        ~col(Enrolment.deleted),
        col(Enrolment.entry_on) <= window.closes_on,
        sa.or_(
            col(Enrolment.exit_on).is_(None),
            sa.and_(col(Enrolment.exit_on) >= window.opens_on, col(Enrolment.exit_on) > col(Enrolment.entry_on)),
        ),
    )


def standing_consents(window: UUID) -> sa.Subquery:
    """What was last said for each student of the window: ``student_id``, ``state``."""
    return (
        sa.select(col(Consent.student_id), col(Consent.state))
        .where(col(Consent.window_id) == window)
        .ext(distinct_on(col(Consent.student_id)))
        .order_by(col(Consent.student_id), col(Consent.id).desc())
        .subquery("standing_consents")
    )
