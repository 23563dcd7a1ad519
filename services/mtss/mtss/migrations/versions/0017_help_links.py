"""Personal links with which students and families ask for help, and who it is that asks."""

import sqlalchemy as sa
from alembic import op

from common.scope.tables import protect

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "mtss_help_link",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("id", sa.Uuid, nullable=False, unique=True),
        sa.Column("student_id", sa.Uuid, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("holder_id", sa.Uuid, nullable=False),
        sa.Column("issued_at", moment, nullable=False),
        sa.Column("issued_by", sa.String, nullable=False),
        sa.Column("expires_on", sa.Date, nullable=False),
        sa.Column("revoked_at", moment),
    )
    op.create_index(
        "mtss_help_link_live",
        "mtss_help_link",
        ["student_id", "holder_id"],
        unique=True,
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    protect("mtss_help_link", also="digest = (SELECT scope_key())")
    op.add_column("mtss_help_request", sa.Column("author", sa.String, nullable=False, server_default="staff"))
