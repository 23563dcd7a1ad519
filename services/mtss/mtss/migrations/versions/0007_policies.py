"""Policies of the district, what was done with each, and their adoption."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0007"
down_revision = "0006"

_STAYS = """
CREATE FUNCTION mtss_policy_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'mtss_policy' THEN
        IF (NEW.version, NEW.document::text, NEW.digest, NEW.drafted_by, NEW.drafted_at)
            IS NOT DISTINCT FROM (OLD.version, OLD.document::text, OLD.digest, OLD.drafted_by, OLD.drafted_at) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'a policy and its history never change';
END $$
"""


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=False, server_default="0")


def upgrade() -> None:
    op.create_table(
        "mtss_policy",
        sa.Column("version", sa.String, primary_key=True),
        sa.Column("document", sa.JSON, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("drafted_by", sa.String, nullable=False),
        _moment("drafted_at"),
        sa.Column("findings", sa.JSON(none_as_null=True)),
        sa.Column("rehearsal_id", UUID),
        sa.Column("approved_by", sa.String),
        _moment("approved_at", nullable=True),
        sa.CheckConstraint("approved_by <> drafted_by", name="mtss_policy_approved_by_another"),
    )
    op.create_table(
        "mtss_policy_step",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("step", sa.String, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        _moment("at"),
        sa.Column("note", sa.String),
    )
    op.create_index("mtss_policy_step_version", "mtss_policy_step", ["version"])
    op.create_table(
        "mtss_adoption",
        sa.Column("id", UUID, primary_key=True),
        sa.Column("number", sa.Integer, unique=True),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("first_on", sa.Date, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("dry_run", sa.Boolean, nullable=False),
        sa.Column("tells_families", sa.Boolean, nullable=False),
        sa.Column("sure", sa.Boolean, nullable=False),
        sa.Column("asked_by", sa.String, nullable=False),
        _moment("asked_at"),
        sa.Column("confirmed_by", sa.String),
        _moment("confirmed_at", nullable=True),
        sa.Column("cursor", UUID),
        _number("total"),
        _number("with_tier"),
        _number("done"),
        _number("changed"),
        sa.Column("counts", sa.JSON, nullable=False),
    )
    op.add_column("mtss_student", sa.Column("adoption", sa.Integer, nullable=False, server_default="0"))
    op.add_column("mtss_decision", sa.Column("tells_families", sa.Boolean, nullable=False, server_default=sa.true()))
    op.add_column("mtss_decision", sa.Column("adoption", sa.Integer, nullable=False, server_default="0"))
    op.add_column("mtss_decision", sa.Column("adopted_after", sa.Integer))
    op.execute(_STAYS)
    for table in ("mtss_policy", "mtss_policy_step"):
        op.execute(
            f"CREATE TRIGGER {table}_stays BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION mtss_policy_stays()"
        )
