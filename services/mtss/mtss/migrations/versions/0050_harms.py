"""Whether somebody was hurt in an incident, or something damaged."""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"


def upgrade() -> None:
    for harm in ("injury", "damage"):
        op.add_column("mtss_incident", sa.Column(harm, sa.Boolean, nullable=False, server_default=sa.false()))
