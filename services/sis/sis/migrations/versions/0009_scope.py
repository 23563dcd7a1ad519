"""Who may see whom, as sis has said it so far, and row security on every table of students."""

import sqlalchemy as sa
from alembic import op

from common.scope import SEEN_UNTIL
from common.scope.tables import create_scope_tables, protect, protect_whole

revision = "0009"
down_revision = "0008"

_WHOLE = ("document", "fact", "revision", "restriction", "waiting", "rejected")
"""What the SIS told and we said: nobody whose sight is bounded reads it, but for what sis says over its own routes."""

_SAID = (
    ("student-enrolled", "enrolment", ("student_id", "school_id", "entry_on", "exit_on", "grade")),
    ("staff-assigned", "assignment", ("staff_id", "school_id", "classification", "begin_on", "end_on")),
    ("section-taught", "section_staff", ("staff_id", "section_id", "school_id", "begin_on", "end_on")),
    ("section-attended", "section_student", ("student_id", "section_id", "school_id", "begin_on", "end_on")),
    (
        "staff-related",
        "relation",
        ("relation_id", "staff_id", "kind", "student_id", "school_id", "grade", "begin_on", "end_on"),
    ),
)


def upgrade() -> None:
    create_scope_tables()
    for event, table, columns in _SAID:
        names = ", ".join(columns)
        values = ", ".join(map(_value, columns))
        op.execute(
            f"""
            INSERT INTO scope_{table} ({names}, revision, deleted)
            SELECT {values}, revision, deleted FROM sis_fact WHERE type = 'sis.{event}.v1'
            """
        )
    students = sa.text("SELECT coalesce(array_agg(DISTINCT student_id), '{}') FROM scope_enrolment")
    op.get_bind().execute(SEEN_UNTIL, {"students": op.get_bind().execute(students).scalar_one()})
    for table in _WHOLE:
        protect_whole(f"sis_{table}")
    of_my_schools = "EXISTS (SELECT FROM scope_school AS mine WHERE mine.school_id = sis_relation.school_id)"
    protect("sis_relation", also=of_my_schools)


def _value(name: str) -> str:
    told = f"state->>'{name}'"
    if name.endswith("_on"):
        # Without a begin it was always so; what never ends has no end.
        return f"coalesce(CAST({told} AS date), '-infinity')" if name == "begin_on" else f"CAST({told} AS date)"
    return f"CAST({told} AS uuid)" if name.endswith("_id") and name != "school_id" else told
