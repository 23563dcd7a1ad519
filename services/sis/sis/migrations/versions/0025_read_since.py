"""How the district reads a resource says since when."""

from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    # For an hour 0024 itself brought the column: who ran it then has it, who ran it before has not.
    op.execute("ALTER TABLE sis_read ADD COLUMN IF NOT EXISTS since timestamptz NOT NULL DEFAULT now()")
