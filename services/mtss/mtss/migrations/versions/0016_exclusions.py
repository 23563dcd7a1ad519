"""Disciplinary actions, of which a policy may name those that are exclusions. Those said before come with ``events resend sis``."""

import sqlalchemy as sa
from alembic import op

from common.scope.tables import protect

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    moment, standing = sa.DateTime(timezone=True), sa.text("superseded_at IS NULL")
    op.create_table(
        "mtss_exclusion",
        sa.Column("student_id", sa.Uuid, primary_key=True),
        sa.Column("action_id", sa.Uuid, primary_key=True),
        sa.Column("revision", sa.BigInteger, primary_key=True),
        sa.Column("school_id", sa.String, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("hundredths", sa.Integer, nullable=False),
        sa.Column("actions", sa.String, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("known_at", moment, nullable=False),
        sa.Column("superseded_at", moment),
    )
    op.execute(
        "ALTER TABLE mtss_exclusion ADD known_by xid8 NOT NULL DEFAULT pg_current_xact_id(), ADD superseded_by xid8"
    )
    op.create_index(
        "mtss_exclusion_standing", "mtss_exclusion", ["student_id", "action_id"], unique=True, postgresql_where=standing
    )
    protect("mtss_exclusion")
