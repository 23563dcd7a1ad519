"""How students are, as who follows up a survey that calls for it found them."""

import sqlalchemy as sa
from alembic import op

from common.scope.tables import protect

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    op.create_table(
        "mtss_pulse",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("asked_on", sa.Date, nullable=False),
        sa.Column("wellbeing", sa.SmallInteger, nullable=False),
        sa.Column("words", sa.LargeBinary, nullable=False),
        sa.Column("by", sa.String, nullable=False),
    )
    op.create_index("mtss_pulse_student", "mtss_pulse", ["student_id", "asked_on"])
    protect("mtss_pulse")
