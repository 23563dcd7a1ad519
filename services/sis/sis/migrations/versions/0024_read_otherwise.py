"""Attendance and calendars too are gone through anew where a district reads them otherwise; at first nothing is."""

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    # Marks of which it is not known how they were read are still gone through once.
    op.execute(
        "INSERT INTO sis_unfollowed SELECT 'grades' WHERE NOT EXISTS (SELECT FROM sis_read WHERE resource = 'grades') "
        "ON CONFLICT DO NOTHING"
    )
