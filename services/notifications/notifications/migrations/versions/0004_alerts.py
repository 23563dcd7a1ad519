"""What district IT is to be told of the SIS."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "notifications_alert",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("about", sa.String, primary_key=True),
        sa.Column("since", sa.Date, primary_key=True),
        sa.Column("school_days", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("over", sa.Boolean, nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True)),
    )
