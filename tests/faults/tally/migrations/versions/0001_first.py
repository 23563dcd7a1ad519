import sqlalchemy as sa
from alembic import op

from common.migrations import create_shared_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_shared_tables()
    op.create_table(
        "tally_heard",
        sa.Column("state", sa.Uuid, primary_key=True),
        sa.Column("times", sa.Integer, nullable=False),
    )
