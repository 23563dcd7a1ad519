"""What is unknown of each student, and when something was last heard of each school."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("mtss_student", sa.Column("unknown", ARRAY(sa.String)))
    op.create_table(
        "mtss_push",
        sa.Column("school_id", sa.String, primary_key=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
    )
    # A revision is the time of its acceptance, in microseconds.
    op.execute(
        """
        INSERT INTO mtss_push (school_id, accepted_at)
        SELECT school_id, to_timestamp(max(revision) / 1e6) FROM (
            SELECT school_id, revision FROM mtss_enrolment
            UNION ALL SELECT school_id, revision FROM mtss_calendar
            UNION ALL SELECT school_id, revision FROM mtss_closed_day
        ) AS said GROUP BY school_id
        """
    )
