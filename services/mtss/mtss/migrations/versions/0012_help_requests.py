"""Requests for help, which a policy may hear and a person answers."""

import sqlalchemy as sa
from alembic import op

from common.scope.tables import protect

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "mtss_help_request",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("asked_on", sa.Date, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("words", sa.LargeBinary, nullable=False),
        sa.Column("known_at", moment, nullable=False),
        sa.Column("answered_on", sa.Date),
        sa.Column("answered_by", sa.String),
        sa.Column("answer", sa.LargeBinary),
    )
    op.execute("ALTER TABLE mtss_help_request ADD known_by xid8 NOT NULL DEFAULT pg_current_xact_id()")
    op.create_index("mtss_help_request_student", "mtss_help_request", ["student_id"])
    protect("mtss_help_request")
