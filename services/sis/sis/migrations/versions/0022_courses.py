"""Of several sections of a course a student has one mark; and marks are gone through anew where a district reads them otherwise."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    # Empty: marks that were said by section are gone through once.
    op.create_table(
        "sis_read",
        sa.Column("resource", sa.Text, primary_key=True),
        sa.Column("reading", sa.Text, nullable=False),
    )
    op.execute(
        "CREATE INDEX sis_document_course ON sis_document "
        "(student_id, (body #>> '{studentSectionAssociationReference,localCourseCode}')) WHERE resource = 'grades'"
    )
