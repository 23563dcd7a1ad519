"""What a member of staff has is found by them."""

from alembic import op

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    op.create_index("mtss_handover_staff", "mtss_handover", ["staff_id"])
