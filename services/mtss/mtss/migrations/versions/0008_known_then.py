"""A rehearsal judges each day by what is known now, or by what was known then."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("mtss_rehearsal", sa.Column("known", sa.String, server_default="now", nullable=False))
