"""Staff and sections that were stored before anything followed from them: that is said now, once."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_UNFOLLOWED = (
    "staffs",
    "staffEducationOrganizationAssignmentAssociations",
    "staffSectionAssociations",
    "studentSectionAssociations",
)


def upgrade() -> None:
    table = op.create_table("sis_unfollowed", sa.Column("resource", sa.Text, primary_key=True))
    op.bulk_insert(table, [{"resource": name} for name in _UNFOLLOWED])
