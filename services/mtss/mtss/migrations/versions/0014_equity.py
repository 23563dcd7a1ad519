"""What was told of a month's decisions by group, and the ratios that wait for a person."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from common.scope.tables import protect_whole

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "mtss_equity",
        sa.Column("month", sa.Date, primary_key=True),
        sa.Column("made_at", moment, nullable=False),
        sa.Column("students", sa.Integer, nullable=False),
        sa.Column("report", JSONB, nullable=False),
    )
    op.create_table(
        "mtss_equity_alert",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("month", sa.Date, nullable=False),
        *(sa.Column(name, sa.String, nullable=False) for name in ("measure", "kind", "group_name")),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("ratio", "low", "high", "threshold")),
        sa.Column("found_at", moment),
        sa.Column("found_by", sa.String),
        sa.Column("finding", sa.LargeBinary),
    )
    op.create_index(
        "mtss_equity_alert_open",
        "mtss_equity_alert",
        ["measure", "kind", "group_name"],
        unique=True,
        postgresql_where=sa.text("found_at IS NULL"),
    )
    for table in ("mtss_equity", "mtss_equity_alert"):
        protect_whole(table)
