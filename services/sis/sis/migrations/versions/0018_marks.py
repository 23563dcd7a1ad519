"""Marks that were stored before anything followed from them: that is said now, once."""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.execute("INSERT INTO sis_unfollowed (resource) VALUES ('grades') ON CONFLICT DO NOTHING")
