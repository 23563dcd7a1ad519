"""Incidents of a student are found by index as they were known at any time, not only as they stand."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.drop_index("mtss_incident_student", "mtss_incident")
    op.create_index("mtss_incident_student", "mtss_incident", ["student_id"])
