"""The first tables: windows, enrolments, consents, links, drafts and responses."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from common.migrations import create_shared_tables

revision = "0001"
down_revision = None

_AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_shared_tables()
    op.create_table(
        "surveys_window",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("key", sa.String, nullable=False, unique=True),
        sa.Column("instrument", sa.String, nullable=False),
        sa.Column("schools", ARRAY(sa.Text), nullable=False),
        sa.Column("opens_on", sa.Date, nullable=False),
        sa.Column("closes_on", sa.Date, nullable=False),
        sa.Column("audience", sa.String, nullable=False),
        sa.Column("notice_kind", sa.String),
        sa.Column("notice_sent_on", sa.Date),
        sa.Column("notice_text_reference", sa.String),
        sa.Column("created_at", _AT, nullable=False),
    )
    op.create_table(
        "surveys_enrolment",
        sa.Column("student_id", sa.Uuid, primary_key=True),
        sa.Column("school_id", sa.String, primary_key=True),
        sa.Column("entry_on", sa.Date, primary_key=True),
        sa.Column("exit_on", sa.Date),
        sa.Column("primary", sa.Boolean, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_surveys_enrolment_school_id", "surveys_enrolment", ["school_id"])
    op.create_table(
        "surveys_consent",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("window_id", sa.Uuid, sa.ForeignKey("surveys_window.id"), nullable=False),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("on", sa.Date, nullable=False),
        sa.Column("recorded_by", sa.String, nullable=False),
        sa.Column("recorded_at", _AT, nullable=False),
    )
    op.create_index("surveys_consent_last", "surveys_consent", ["window_id", "student_id", "id"])
    op.create_table(
        "surveys_link",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("window_id", sa.Uuid, sa.ForeignKey("surveys_window.id"), nullable=False),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("issued_at", _AT, nullable=False),
        sa.Column("revoked_at", _AT),
    )
    op.create_index(
        "surveys_link_live",
        "surveys_link",
        ["window_id", "student_id"],
        unique=True,
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "surveys_draft",
        sa.Column("window_id", sa.Uuid, sa.ForeignKey("surveys_window.id"), primary_key=True),
        sa.Column("student_id", sa.Uuid, primary_key=True),
        sa.Column("answers", sa.LargeBinary, nullable=False),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("saved_at", _AT, nullable=False),
    )
    op.create_table(
        "surveys_response",
        sa.Column("window_id", sa.Uuid, sa.ForeignKey("surveys_window.id"), primary_key=True),
        sa.Column("student_id", sa.Uuid, primary_key=True),
        sa.Column("school_id", sa.String, nullable=False),
        sa.Column("instrument", sa.String, nullable=False),
        sa.Column("answered_on", sa.Date, nullable=False),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("answers", sa.LargeBinary, nullable=False),
        sa.Column("scores", JSONB, nullable=False),
        sa.Column("straight_line", sa.Boolean, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", _AT, nullable=False),
    )
