"""When an adoption had changed more students than were shown before it began."""

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"


def upgrade() -> None:
    op.add_column("mtss_adoption", sa.Column("grown_at", sa.DateTime(timezone=True)))
