"""The first tables of restorative."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from common.migrations import create_shared_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
BYTES = sa.LargeBinary


def upgrade() -> None:
    create_shared_tables()
    _create_facts()
    _create_conferences()
    op.create_table(
        "restorative_said",
        sa.Column("type", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("body", JSONB, nullable=False),
    )


def _create_facts() -> None:
    op.create_table(
        "restorative_enrolment",
        sa.Column("student_id", sa.Uuid, primary_key=True),
        sa.Column("school_id", sa.String, primary_key=True),
        sa.Column("entry_on", sa.Date, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    op.create_table(
        "restorative_incident",
        sa.Column("association_id", sa.Uuid, primary_key=True),
        sa.Column("incident_id", sa.Uuid, nullable=False),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("school_id", sa.String, nullable=False),
        sa.Column("on", sa.Date, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    op.create_index("restorative_incident_student", "restorative_incident", ["student_id", "incident_id"])
    op.create_table(
        "restorative_referral",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("incident_id", sa.Uuid, nullable=False),
        sa.Column("school_id", sa.String, nullable=False),
        sa.Column("happened_on", sa.Date, nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("by_hand", sa.Boolean, nullable=False),
        sa.Column("policy", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("suitable", sa.Boolean),
        sa.Column("taken_back", sa.Boolean, nullable=False),
        sa.Column("offered_on", sa.Date),
        sa.Column("scheduled_at", MOMENT),
        sa.Column("held_on", sa.Date),
        sa.Column("ended_on", sa.Date),
        sa.Column("hundredths_proposed", sa.Integer, nullable=False),
        sa.Column("hundredths_served", sa.Integer, nullable=False),
        sa.UniqueConstraint("student_id", "incident_id", name="restorative_referral_once"),
    )
    op.create_index("restorative_referral_school", "restorative_referral", ["school_id", "id"])
    op.create_table(
        "restorative_action",
        sa.Column("action_id", sa.Uuid, primary_key=True),
        sa.Column("student_id", sa.Uuid, primary_key=True),
        sa.Column("incident_ids", ARRAY(sa.Uuid), nullable=False),
        sa.Column("descriptors", ARRAY(sa.Text), nullable=False),
        sa.Column("staff_ids", ARRAY(sa.Uuid), nullable=False),
        sa.Column("on", sa.Date, nullable=False),
        sa.Column("first_heard_on", sa.Date, nullable=False),
        sa.Column("hundredths_frozen", sa.Integer),
        sa.Column("hundredths_served", sa.Integer),
        sa.Column("referral_id", sa.Uuid, sa.ForeignKey("restorative_referral.id")),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    op.create_index("restorative_action_student", "restorative_action", ["student_id"])


def _create_conferences() -> None:
    op.create_table(
        "restorative_party",
        *_part_of_a_referral(),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("student_id", sa.Uuid),
        sa.Column("school_id", sa.String),
        sa.Column("staff_id", sa.Uuid),
        sa.Column("name", BYTES),
        sa.Column("part", sa.String),
        sa.Column("agreed_on", sa.Date),
        sa.Column("prepared_on", sa.Date),
    )
    op.create_index("restorative_party_referral", "restorative_party", ["referral_id", "id"])
    op.create_table(
        "restorative_item",
        *_part_of_a_referral(),
        sa.Column("what", BYTES, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("by_party", sa.Uuid, nullable=False),
        sa.Column("for_party", sa.Uuid),
        sa.Column("due_on", sa.Date, nullable=False),
        sa.Column("kept_on", sa.Date),
        sa.Column("verified_by", sa.Uuid),
        sa.Column("evidence", BYTES),
    )
    op.create_index("restorative_item_referral", "restorative_item", ["referral_id", "id"])
    op.create_table(
        "restorative_step",
        *_part_of_a_referral(),
        sa.Column("step", sa.String, nullable=False),
        sa.Column("on", sa.Date),
        sa.Column("taken_at", MOMENT, nullable=False),
        sa.Column("staff_id", sa.Uuid),
        sa.Column("party_id", sa.Uuid),
        sa.Column("content", BYTES),
    )
    op.create_index("restorative_step_referral", "restorative_step", ["referral_id", "id"])


def _part_of_a_referral() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("referral_id", sa.Uuid, sa.ForeignKey("restorative_referral.id"), nullable=False),
    ]
