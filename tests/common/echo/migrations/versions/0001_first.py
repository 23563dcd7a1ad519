import sqlalchemy as sa
from alembic import op

from common.migrations import create_answers_table, create_shared_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_shared_tables()
    create_answers_table()
    op.create_table(
        "echo_tier",
        sa.Column("student_id", sa.Uuid, primary_key=True),
        sa.Column("tier", sa.Text),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
    )
