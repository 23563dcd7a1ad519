"""Rehearsals: a policy tried on the district's own past, in the background."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0006"
down_revision = "0005"

_NONE = sa.text("0")


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "mtss_rehearsal",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("asked_by", sa.String, nullable=False),
        sa.Column("asked_at", moment, nullable=False),
        sa.Column("policy", JSONB, nullable=False),
        sa.Column("against", JSONB, nullable=False),
        sa.Column("school_years", ARRAY(sa.Integer), nullable=False),
        sa.Column("schools", ARRAY(sa.String), nullable=False),
        sa.Column("done", sa.Integer, server_default=_NONE, nullable=False),
        sa.Column("steps", sa.Integer, server_default=_NONE, nullable=False),
        sa.Column("begun", sa.Integer, server_default=_NONE, nullable=False),
        sa.Column("worker", sa.Uuid),
        sa.Column("beat_at", moment),
        sa.Column("ended_at", moment),
        sa.Column("reason", sa.String),
        sa.Column("result", JSONB),
    )
    open_ones = sa.text("state IN ('waiting', 'running')")
    op.create_index("mtss_rehearsal_open", "mtss_rehearsal", ["asked_at"], postgresql_where=open_ones)
