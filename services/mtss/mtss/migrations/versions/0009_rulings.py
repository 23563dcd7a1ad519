"""What people decide: rulings on proposals and overrides, and who reviews what."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from common.scope.tables import protect

revision = "0009"
down_revision = "0008"

_STAYS = """
CREATE FUNCTION mtss_ruling_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what a person decided never changes: it is followed by another ruling';
END $$
"""


def _by() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("reason", sa.LargeBinary, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
    )


def upgrade() -> None:
    op.create_table(
        "mtss_ruling",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("tier", sa.String, nullable=False),
        sa.Column("made_on", sa.Date, nullable=False),
        sa.Column("until", sa.Date),
        sa.Column("proposal_id", sa.Uuid),
        *_by(),
        sa.UniqueConstraint("student_id", "number"),
    )
    op.execute("ALTER TABLE mtss_ruling ADD known_by xid8 NOT NULL DEFAULT pg_current_xact_id()")
    protect("mtss_ruling")
    op.execute(_STAYS)
    op.execute(
        "CREATE TRIGGER mtss_ruling_stays BEFORE UPDATE OR DELETE ON mtss_ruling "
        "FOR EACH ROW EXECUTE FUNCTION mtss_ruling_stays()"
    )
    op.add_column("mtss_student", sa.Column("ruling", sa.Integer, nullable=False, server_default="0"))
    op.add_column("mtss_student", sa.Column("proposal_tier", sa.String))
    op.execute("UPDATE mtss_student SET proposal_tier = 'intensive' WHERE proposal_id IS NOT NULL")
    op.add_column("mtss_decision", sa.Column("ruling", sa.Integer, nullable=False, server_default="0"))
    op.add_column("mtss_decision", sa.Column("tier_beneath", sa.String))
    op.add_column("mtss_proposal", sa.Column("tier_before", sa.String))
    op.create_index(
        "mtss_proposal_school", "mtss_proposal", ["school_id"], postgresql_where=sa.text("closed_at IS NULL")
    )
