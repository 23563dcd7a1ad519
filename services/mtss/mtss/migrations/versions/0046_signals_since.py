"""Since when which signals stand is kept with the student, so that a school's queue follows no course."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    op.add_column("mtss_student", sa.Column("signals_since", JSONB))
