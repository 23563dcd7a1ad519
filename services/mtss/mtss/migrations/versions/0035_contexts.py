"""What may weigh on a student beside school, said with a support."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    for table in ("mtss_support", "mtss_attempt"):
        op.add_column(table, sa.Column("contexts", sa.LargeBinary))
