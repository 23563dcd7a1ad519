"""What a decision rests on, the digest of the decision itself, and the transactions that heard each fact."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"

_KEPT = ("mtss_enrolment", "mtss_calendar", "mtss_closed_day", "mtss_incident", "mtss_score")


def upgrade() -> None:
    # Decisions made before this have no ground that could be told later: they are recomputed, and not compared with one.
    op.add_column("mtss_decision", sa.Column("facts", JSONB, nullable=False, server_default="{}"))
    op.add_column("mtss_decision", sa.Column("digest", sa.String, nullable=False, server_default=""))
    for column in ("facts", "digest"):
        op.alter_column("mtss_decision", column, server_default=None)
    # To every fact heard so far this transaction is given, which later snapshots see.
    for table in (*_KEPT, "mtss_attendance_change"):
        op.execute(f"ALTER TABLE {table} ADD known_by xid8 NOT NULL DEFAULT pg_current_xact_id()")
    for table in _KEPT:
        op.execute(f"ALTER TABLE {table} ADD superseded_by xid8")
