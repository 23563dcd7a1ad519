"""Who of the staff was trained in what."""

import sqlalchemy as sa
from alembic import op

from common.scope.tables import protect_whole

revision = "0051"
down_revision = "0050"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "mtss_training",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("staff_id", sa.Uuid, nullable=False),
        sa.Column("training", sa.String, nullable=False),
        sa.Column("trained_on", sa.Date, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("known_at", moment, nullable=False),
        sa.Column("withdrawn_at", moment),
        sa.Column("withdrawn_by", sa.String),
    )
    op.create_index(
        "mtss_training_stands",
        "mtss_training",
        ["staff_id", "training", "trained_on"],
        unique=True,
        postgresql_where=sa.text("withdrawn_at IS NULL"),
    )
    protect_whole("mtss_training")
