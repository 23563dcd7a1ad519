"""Who reviews what, handed over from one person to another."""

import sqlalchemy as sa
from alembic import op

from common.scope.tables import protect

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "mtss_handover",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("review_id", sa.Uuid, nullable=False),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("staff_id", sa.Uuid, nullable=False),
        sa.Column("reason", sa.LargeBinary, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("mtss_handover_review", "mtss_handover", ["review_id"])
    protect("mtss_handover")
