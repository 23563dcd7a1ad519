"""Whom an adoption changes, as counted before anything is decided."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from common.scope.tables import protect

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.create_table(
        "mtss_adoption_change",
        sa.Column("adoption_id", sa.Uuid, sa.ForeignKey("mtss_adoption.id"), primary_key=True),
        sa.Column("student_id", sa.Uuid, primary_key=True),
        sa.Column("school_id", sa.String, nullable=False),
        sa.Column("what", ARRAY(sa.String), nullable=False),
        *(sa.Column(name, sa.String, nullable=False) for name in ("tier_before", "tier_after")),
        *(sa.Column(name, sa.Date, nullable=False) for name in ("since_before", "since_after")),
        *(sa.Column(name, ARRAY(sa.String), nullable=False) for name in ("begins", "ends")),
    )
    protect("mtss_adoption_change")
