"""Requests for help that cannot wait, of which staff are told until one is answered."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "notifications_urgent_help",
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("school_id", sa.String, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("answered", sa.Boolean, nullable=False),
        sa.Column("told", sa.Integer, nullable=False, server_default="0"),
        sa.Column("tell_at", sa.DateTime(timezone=True), server_default=sa.text("now()")),
    )
