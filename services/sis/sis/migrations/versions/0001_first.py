"""Documents, facts, their earlier revisions, restrictions, the closing clock's leases and the events taken in."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from common.migrations import create_shared_tables

revision = "0001"
down_revision = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_shared_tables()
    _create_documents()
    _create_facts()
    op.create_table(
        "sis_revision",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("known_at", _MOMENT, nullable=False),
        sa.Column("source_modified_at", _MOMENT),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    op.create_table(
        "sis_restriction",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("association_id", sa.Uuid, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("codes", ARRAY(sa.Text), nullable=False),
        sa.Column("expires_on", sa.Date),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("coded_by", sa.Text, nullable=False),
        sa.Column("known_at", _MOMENT, nullable=False),
    )
    op.create_index("sis_restriction_association", "sis_restriction", ["association_id", "revision"], unique=True)
    op.create_table(
        "sis_lease",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("until", _MOMENT, nullable=False),
    )
    op.create_table(
        "sis_heard_event",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("heard_at", _MOMENT, nullable=False),
    )


def _create_documents() -> None:
    op.create_table(
        "sis_document",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("student_id", sa.Uuid),
        sa.Column("school_id", sa.Text),
        sa.Column("on_date", sa.Date),
        sa.Column("refs", ARRAY(sa.Uuid), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("known_at", _MOMENT, nullable=False),
        sa.Column("source_modified_at", _MOMENT),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    op.create_index("sis_document_key", "sis_document", ["resource", "key"], unique=True)
    op.create_index("sis_document_day", "sis_document", ["school_id", "on_date", "student_id"])
    op.create_index("sis_document_refs", "sis_document", ["refs"], postgresql_using="gin")


def _create_facts() -> None:
    op.create_table(
        "sis_fact",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("school_id", sa.Text, nullable=False),
        sa.Column("on_date", sa.Date),
        sa.Column("state", JSONB, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("known_at", _MOMENT, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
    )
    op.create_index(
        "sis_fact_day", "sis_fact", ["type", "school_id", "on_date"], postgresql_where=sa.text("NOT deleted")
    )
