"""Row security on what is said and heard too, and for who holds a conference only while they work at its school."""

import sqlalchemy as sa
from alembic import op

from common.scope.tables import create_views, protect_by, protect_ways

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    create_views()
    protect_ways()
    op.add_column("restorative_facilitator", sa.Column("school_id", sa.String))
    op.execute(
        """
        UPDATE restorative_facilitator AS f SET school_id = r.school_id FROM restorative_referral AS r
        WHERE r.id = f.referral_id
        """
    )
    op.alter_column("restorative_facilitator", "school_id", nullable=False)
    op.execute("DROP POLICY sight ON restorative_facilitator")
    still_here = "school_id <> ALL (ARRAY(SELECT school_id FROM scope_left))"
    protect_by("restorative_facilitator", f"staff_id = (SELECT scope_staff()) AND {still_here}")
