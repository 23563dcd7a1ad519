"""Courses passed or not at the end of each grading period, to which a policy may listen."""

import sqlalchemy as sa
from alembic import op

from common.scope.tables import protect

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    moment, standing = sa.DateTime(timezone=True), sa.text("superseded_at IS NULL")
    op.create_table(
        "mtss_mark",
        sa.Column("mark_id", sa.Uuid, primary_key=True),
        sa.Column("revision", sa.BigInteger, primary_key=True),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("section_id", sa.Uuid, nullable=False),
        sa.Column("school_id", sa.String, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("failing", sa.Boolean, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("known_at", moment, nullable=False),
        sa.Column("superseded_at", moment),
    )
    op.execute("ALTER TABLE mtss_mark ADD known_by xid8 NOT NULL DEFAULT pg_current_xact_id(), ADD superseded_by xid8")
    op.create_index("mtss_mark_standing", "mtss_mark", ["mark_id"], unique=True, postgresql_where=standing)
    op.create_index("mtss_mark_student", "mtss_mark", ["student_id"])
    protect("mtss_mark")
