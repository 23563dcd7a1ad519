"""When each adoption was counted, so that a dry run can be old."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    op.add_column("mtss_adoption", sa.Column("counted_at", sa.DateTime(timezone=True)))
