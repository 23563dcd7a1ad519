"""Who may see whom, and row security on every table of students."""

from common.scope.tables import create_scope_tables, protect

revision = "0004"
down_revision = "0003"

_STUDENTS = ("student", "attendance", "attendance_change", "enrolment", "incident", "score", "decision", "proposal")


def upgrade() -> None:
    create_scope_tables()
    for table in _STUDENTS:
        protect(f"mtss_{table}")
