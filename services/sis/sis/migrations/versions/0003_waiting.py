"""Rows that wait for what they refer to."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0003"
down_revision = "0002"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "sis_waiting",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("awaited", ARRAY(sa.Text), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("source_modified_at", _MOMENT),
        sa.Column("taken_back", sa.Boolean, nullable=False),
    )
    op.create_index("sis_waiting_key", "sis_waiting", ["resource", "key"], unique=True)
    op.create_index("sis_waiting_since", "sis_waiting", ["since", "id"])
    # Looked into with every push of what others refer to: entries go to their place at once, not to a list beside it.
    op.create_index(
        "sis_waiting_awaited", "sis_waiting", ["awaited"], postgresql_using="gin", postgresql_with={"fastupdate": "off"}
    )
