"""What waits and is of no student is handed over too: a school's silence, which who sees the school sees, and an equity alert."""

import sqlalchemy as sa
from alembic import op

from common.scope.tables import protect

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.alter_column("mtss_handover", "student_id", nullable=True)
    op.add_column("mtss_handover", sa.Column("school_id", sa.String))
    op.execute("DROP POLICY sight ON mtss_handover")
    protect("mtss_handover", also="school_id = ANY (ARRAY(SELECT school_id FROM scope_school))")
