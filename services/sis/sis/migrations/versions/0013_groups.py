"""What says which groups a student is of is found by the student."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    of_groups = sa.text("resource = 'studentEducationOrganizationAssociations'")
    op.create_index("sis_document_groups", "sis_document", ["student_id"], postgresql_where=of_groups)
