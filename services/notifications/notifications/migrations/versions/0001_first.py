"""The first tables of notifications."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from common.migrations import create_shared_tables

revision = "0001"
down_revision = None

_MOMENT = sa.DateTime(timezone=True)
_NOW = sa.text("now()")


def upgrade() -> None:
    create_shared_tables()
    op.create_table(
        "notifications_calendar",
        sa.Column("school_id", sa.String, primary_key=True),
        sa.Column("school_year", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("instructional_days", ARRAY(sa.Date), nullable=False),
    )
    op.create_table(
        "notifications_fact",
        sa.Column("student_id", sa.Uuid, primary_key=True),
        sa.Column("purpose", sa.String, primary_key=True),
        sa.Column("ground", sa.String, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("stands", sa.Boolean, nullable=False),
        sa.Column("decision_id", sa.Uuid),
    )
    _occasions_and_notices()
    _attempts_and_letters()
    _opt_outs()
    _persons()


def _matter() -> list[sa.Column[object]]:
    return [
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("school_id", sa.String, nullable=False),
        sa.Column("purpose", sa.String, nullable=False),
        sa.Column("ground", sa.String, nullable=False),
        sa.Column("effective_on", sa.Date, nullable=False),
    ]


def _occasions_and_notices() -> None:
    op.create_table(
        "notifications_occasion",
        sa.Column("id", sa.Uuid, primary_key=True),
        *_matter(),
        sa.Column("heard_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("ask_at", _MOMENT),
        sa.Column("doubtful", sa.Boolean, nullable=False),
        sa.UniqueConstraint("student_id", "purpose", "ground", "effective_on"),
    )
    op.create_index(
        "notifications_occasion_open", "notifications_occasion", ["ask_at"], postgresql_where=sa.text("state = 'open'")
    )
    op.create_table(
        "notifications_notice",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("occasion_id", sa.Uuid, sa.ForeignKey("notifications_occasion.id"), nullable=False),
        *_matter(),
        sa.Column("recipient", sa.Uuid, nullable=False),
        sa.Column("household", ARRAY(sa.Uuid), nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("channel", sa.String),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("text_language", sa.String, nullable=False),
        sa.Column("fallback", sa.Boolean, nullable=False),
        sa.Column("why", JSONB, nullable=False),
        sa.Column("not_before", _MOMENT),
        sa.Column("decided_at", _MOMENT),
        sa.Column("told_on", sa.Date),
        sa.UniqueConstraint("student_id", "purpose", "ground", "effective_on", "recipient"),
    )
    op.create_index(
        "notifications_notice_due",
        "notifications_notice",
        ["not_before"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("notifications_notice_occasion", "notifications_notice", ["occasion_id"])
    op.create_index("notifications_notice_told", "notifications_notice", ["told_on"])


def _attempts_and_letters() -> None:
    op.create_table(
        "notifications_attempt",
        sa.Column("fence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("notice_id", sa.Uuid, sa.ForeignKey("notifications_notice.id"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("mailbox", sa.String),
        sa.Column("worker", sa.Uuid, nullable=False),
        sa.Column("lease_until", _MOMENT, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("words", sa.String, nullable=False),
        sa.Column("reached", sa.Boolean, nullable=False),
        sa.Column("started_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.Column("ended_at", _MOMENT),
        sa.Column("again", sa.Boolean, nullable=False),
        sa.UniqueConstraint("notice_id", "number"),
    )
    op.create_index(
        "notifications_attempt_one_contact",
        "notifications_attempt",
        ["notice_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('attempting', 'accepted', 'uncertain', 'delivered')"),
    )
    op.create_index(
        "notifications_attempt_lease",
        "notifications_attempt",
        ["lease_until"],
        postgresql_where=sa.text("state = 'attempting'"),
    )
    op.create_table(
        "notifications_letter",
        sa.Column("id", sa.Uuid, sa.ForeignKey("notifications_notice.id"), primary_key=True),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("school_id", sa.String, nullable=False),
        sa.Column("pdf", sa.LargeBinary, nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.Column("printed_at", _MOMENT),
    )


def _opt_outs() -> None:
    op.create_table(
        "notifications_opt_out",
        sa.Column("mailbox", sa.String, primary_key=True),
        sa.Column("at", _MOMENT, nullable=False),
    )
    op.create_table(
        "notifications_stop_link",
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("mailbox", sa.String, nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
    )
    op.create_table(
        "notifications_pepper",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
    )


def _persons() -> None:
    op.create_table(
        "notifications_switch",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("is_on", sa.Boolean, nullable=False),
        sa.Column("server", sa.String, nullable=False),
        sa.Column("seen", sa.Integer, nullable=False),
        sa.Column("switched_by", sa.Text, nullable=False),
        sa.Column("switched_at", _MOMENT, nullable=False),
    )
    op.create_table(
        "notifications_task",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("about", sa.String, nullable=False),
        sa.Column("student_id", sa.Uuid),
        sa.Column("school_id", sa.String),
        sa.Column("notice_id", sa.Uuid),
        sa.Column("made_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.Column("resolved_at", _MOMENT),
        sa.Column("resolved_by", sa.String),
        sa.Column("outcome", sa.String),
        sa.UniqueConstraint("kind", "about"),
    )
    op.create_index(
        "notifications_task_open", "notifications_task", ["made_at"], postgresql_where=sa.text("resolved_at IS NULL")
    )
