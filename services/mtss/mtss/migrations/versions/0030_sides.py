"""An alert says on which side a group is harmed, and names it also where no number is told."""

from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    op.execute("ALTER TABLE mtss_equity_alert ADD COLUMN side varchar")
    op.execute("UPDATE mtss_equity_alert SET side = CASE WHEN ratio > 1 THEN 'more' ELSE 'less' END")
    op.execute(
        "ALTER TABLE mtss_equity_alert ALTER COLUMN side SET NOT NULL, "
        "ALTER COLUMN ratio DROP NOT NULL, ALTER COLUMN low DROP NOT NULL, ALTER COLUMN high DROP NOT NULL"
    )
