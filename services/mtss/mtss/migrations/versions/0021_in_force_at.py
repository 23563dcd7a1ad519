"""When each adoption came into force, so that what counted at any time can be told."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("mtss_adoption", sa.Column("in_force_at", sa.DateTime(timezone=True)))
    # Of those before, the nearest moment that was kept: counting took seconds to minutes after it.
    op.execute("UPDATE mtss_adoption SET in_force_at = coalesce(confirmed_at, asked_at) WHERE number IS NOT NULL")
