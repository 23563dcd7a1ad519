"""What each school and its sections came to, counted once."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from common.scope.tables import protect_whole

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "surveys_result",
        sa.Column("window_id", sa.Uuid, sa.ForeignKey("surveys_window.id"), primary_key=True),
        sa.Column("school_id", sa.String, primary_key=True),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("groups", JSONB, nullable=False),
    )
    protect_whole("surveys_result")
