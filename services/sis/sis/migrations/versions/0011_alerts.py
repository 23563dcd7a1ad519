"""Alerts are facts that are said: those that stand are said once more, and what was told before is not needed."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.drop_table("sis_alert")
