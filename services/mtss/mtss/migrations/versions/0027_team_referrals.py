"""Students put before a team, and what it agreed when it met."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from common.scope.tables import protect

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.create_table(
        "mtss_team_referral",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("team", sa.String, nullable=False),
        sa.Column("members", JSONB, nullable=False),
        sa.Column("asked_on", sa.Date, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("reason", sa.LargeBinary, nullable=False),
        sa.Column("met_on", sa.Date),
        sa.Column("present", ARRAY(sa.String)),
        sa.Column("agreed", sa.LargeBinary),
        sa.Column("recorded_by", sa.String),
    )
    op.create_index("mtss_team_referral_student", "mtss_team_referral", ["student_id"])
    protect("mtss_team_referral")
