"""What is put before people is under a digest, as what is decided is."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    op.add_column("mtss_proposal", sa.Column("digest", sa.String, nullable=False, server_default=""))
