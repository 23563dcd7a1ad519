"""Students of whom too little is known to say whether they need extra support, where the policy has a person asked."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.add_column("mtss_student", sa.Column("question_id", sa.Uuid))
    op.add_column("mtss_student", sa.Column("question_at", sa.DateTime(timezone=True)))
