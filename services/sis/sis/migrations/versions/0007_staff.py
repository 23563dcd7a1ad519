"""Names under which staff sign in, as keyed digests; and whom staff answer for, made here."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "sis_sign_in",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("staff_id", sa.Uuid, primary_key=True),
    )
    op.create_index("sis_sign_in_staff", "sis_sign_in", ["staff_id"])
    op.create_table(
        "sis_relation",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("staff_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("student_id", sa.Uuid),
        sa.Column("school_id", sa.Text),
        sa.Column("grade", sa.Text),
        sa.Column("begin_on", sa.Date, nullable=False),
        sa.Column("end_on", sa.Date),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("ended_at", _MOMENT),
        sa.Column("ended_by", sa.Text),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
    )
    op.create_index("sis_relation_staff", "sis_relation", ["staff_id"])
    op.create_index("sis_relation_student", "sis_relation", ["student_id"])
