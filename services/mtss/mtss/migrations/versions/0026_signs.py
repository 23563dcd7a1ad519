"""What staff noticed when they ask for help, and whether that is urgent."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.add_column("mtss_help_request", sa.Column("signs", sa.LargeBinary))
    op.add_column("mtss_help_request", sa.Column("urgent", sa.Boolean, nullable=False, server_default=sa.false()))
