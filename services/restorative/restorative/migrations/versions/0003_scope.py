"""Who may see whom, who holds which conference, and row security on every table of students."""

import sqlalchemy as sa
from alembic import op

from common.scope.tables import create_scope_tables, protect, protect_by, protect_through

revision = "0003"
down_revision = "0002"

_HOLDS = "'conference' = ANY ((SELECT scope_grounds())::text[]) AND EXISTS (SELECT FROM restorative_facilitator AS f WHERE {})"


def upgrade() -> None:
    create_scope_tables()
    _create_facilitators()
    protect("restorative_enrolment")
    protect("restorative_referral", also=_HOLDS.format("f.referral_id = restorative_referral.id"))
    for table in ("restorative_incident", "restorative_action"):
        # Who holds a conference must see whom its actions name, wherever its student goes to school by now.
        protect(table, also=_HOLDS.format(f"f.student_id = {table}.student_id"))
    for table in ("party", "item", "step"):
        protect_through(f"restorative_{table}", "referral_id", "restorative_referral")
    of_a_visible_one = (
        "EXISTS (SELECT FROM restorative_referral AS r WHERE r.id = CAST(body->>'conference_id' AS uuid))"
    )
    protect_by("restorative_said", of_a_visible_one)


def _create_facilitators() -> None:
    op.create_table(
        "restorative_facilitator",
        sa.Column("referral_id", sa.Uuid, sa.ForeignKey("restorative_referral.id"), primary_key=True),
        sa.Column("staff_id", sa.Uuid, primary_key=True),
        sa.Column("student_id", sa.Uuid, nullable=False),
    )
    op.create_index("restorative_facilitator_student", "restorative_facilitator", ["staff_id", "student_id"])
    op.execute(
        """
        INSERT INTO restorative_facilitator (referral_id, staff_id, student_id)
        SELECT DISTINCT r.id, s.staff_id, r.student_id
        FROM restorative_step s JOIN restorative_referral r ON r.id = s.referral_id WHERE s.staff_id IS NOT NULL
        """
    )
    protect_by("restorative_facilitator", "staff_id = (SELECT scope_staff())")
