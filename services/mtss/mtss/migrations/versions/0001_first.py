"""The first tables: facts as they were heard, students, the ledger and proposals."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from common.migrations import create_shared_tables

revision = "0001"
down_revision = None

_MOMENT = sa.DateTime(timezone=True)
_STANDING = sa.text("superseded_at IS NULL")


def upgrade() -> None:
    create_shared_tables()
    _create_students()
    _create_attendance()
    _create_enrolments()
    _create_school_years()
    _create_signals()
    _create_ledger()


def _create_students() -> None:
    op.create_table(
        "mtss_student",
        sa.Column("student_id", sa.Uuid, primary_key=True),
        sa.Column("school_id", sa.String),
        sa.Column("entry_on", sa.Date),
        sa.Column("exit_on", sa.Date),
        sa.Column("enrolled", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("tier", sa.String),
        sa.Column("since", sa.Date),
        sa.Column("decision_id", sa.Uuid),
        sa.Column("decisions", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("revision", sa.BigInteger),
        sa.Column("proposal_id", sa.Uuid),
        sa.Column("proposal_since", sa.Date),
    )
    op.create_index("mtss_student_school", "mtss_student", ["school_id", "student_id"])


def _create_attendance() -> None:
    op.create_table(
        "mtss_attendance",
        *_student_day(),
        sa.Column("hundredths_absent", sa.SmallInteger, nullable=False),
        sa.Column("kind", sa.String),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "mtss_attendance_change",
        *_student_day(),
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("before", sa.SmallInteger, nullable=False),
        sa.Column("after", sa.SmallInteger, nullable=False),
        sa.Column("kind_before", sa.String),
        sa.Column("kind_after", sa.String),
        sa.Column("known_at", _MOMENT, nullable=False),
    )


def _create_enrolments() -> None:
    op.create_table(
        "mtss_enrolment",
        sa.Column("student_id", sa.Uuid, primary_key=True),
        sa.Column("school_id", sa.String, primary_key=True),
        sa.Column("entry_on", sa.Date, primary_key=True),
        sa.Column("exit_on", sa.Date),
        sa.Column("is_primary", sa.Boolean, nullable=False),
        *_revisions(),
    )
    _one_stands("mtss_enrolment", "student_id", "school_id", "entry_on")
    op.create_index("mtss_enrolment_school", "mtss_enrolment", ["school_id"])


def _create_school_years() -> None:
    op.create_table(
        "mtss_calendar",
        sa.Column("school_id", sa.String, primary_key=True),
        sa.Column("school_year", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("days", ARRAY(sa.Date), nullable=False),
        *_revisions(),
    )
    _one_stands("mtss_calendar", "school_id", "school_year")
    op.create_table(
        "mtss_closed_day",
        sa.Column("school_id", sa.String, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("implied", sa.Boolean, nullable=False),
        *_revisions(),
    )
    _one_stands("mtss_closed_day", "school_id", "day")


def _create_signals() -> None:
    op.create_table(
        "mtss_incident",
        sa.Column("association_id", sa.Uuid, primary_key=True),
        sa.Column("incident_id", sa.Uuid, nullable=False),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("school_id", sa.String, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        *_revisions(),
    )
    _one_stands("mtss_incident", "association_id")
    op.create_index("mtss_incident_student", "mtss_incident", ["student_id"], postgresql_where=_STANDING)
    op.create_table(
        "mtss_score",
        sa.Column("student_id", sa.Uuid, primary_key=True),
        sa.Column("window_id", sa.Uuid, primary_key=True),
        sa.Column("school_id", sa.String, nullable=False),
        sa.Column("instrument", sa.String, nullable=False),
        sa.Column("answered_on", sa.Date, nullable=False),
        sa.Column("scores", JSONB, nullable=False),
        *_revisions(),
    )
    _one_stands("mtss_score", "student_id", "window_id")


def _create_ledger() -> None:
    op.create_table(
        "mtss_decision",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("school_id", sa.String, nullable=False),
        sa.Column("tier", sa.String),
        sa.Column("tier_before", sa.String),
        sa.Column("cause", sa.String, nullable=False),
        sa.Column("policy", sa.String, nullable=False),
        sa.Column("effective_on", sa.Date, nullable=False),
        sa.Column("through", sa.Date),
        sa.Column("known_at", _MOMENT, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("clauses", JSONB, nullable=False),
        sa.Column("what_would_change_it", sa.String, nullable=False),
        sa.UniqueConstraint("student_id", "number"),
    )
    op.create_table(
        "mtss_proposal",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("school_id", sa.String, nullable=False),
        sa.Column("tier", sa.String, nullable=False),
        sa.Column("since", sa.Date, nullable=False),
        sa.Column("policy", sa.String, nullable=False),
        sa.Column("clauses", JSONB, nullable=False),
        sa.Column("known_at", _MOMENT, nullable=False),
        sa.Column("closed_at", _MOMENT),
    )
    op.create_index(
        "mtss_proposal_open",
        "mtss_proposal",
        ["student_id"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )


def _student_day() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("student_id", sa.Uuid, primary_key=True),
        sa.Column("school_id", sa.String, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
    )


def _revisions() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("known_at", _MOMENT, nullable=False),
        sa.Column("superseded_at", _MOMENT),
    )


def _one_stands(table: str, *key: str) -> None:
    op.create_index(f"{table}_standing", table, list(key), unique=True, postgresql_where=_STANDING)
