"""The marks of a grading period are found by its name."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.execute(
        "CREATE INDEX sis_document_period ON sis_document "
        "(school_id, (body #>> '{gradingPeriodReference,gradingPeriodName}')) WHERE resource = 'grades'"
    )
