"""Supports that students receive, with the day by which each is reviewed, and what was tried."""

import sqlalchemy as sa
from alembic import op

from common.scope.tables import protect

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("mtss_ruling", sa.Column("support_id", sa.Uuid))
    op.create_table(
        "mtss_support",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("tier", sa.String, nullable=False),
        sa.Column("begun_on", sa.Date, nullable=False),
        sa.Column("review_on", sa.Date, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("ended_on", sa.Date),
        sa.Column("ending", sa.String),
    )
    op.create_index("mtss_support_student", "mtss_support", ["student_id"])
    protect("mtss_support")
    op.create_table(
        "mtss_attempt",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("support_id", sa.Uuid, nullable=False),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("reviewed_on", sa.Date, nullable=False),
        sa.Column("progress", sa.String, nullable=False),
        sa.Column("tried", sa.LargeBinary, nullable=False),
        sa.Column("next_review_on", sa.Date, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("support_id", "number"),
    )
    protect("mtss_attempt")
