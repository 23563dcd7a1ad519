"""Links that stop e-mail can be taken back."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("notifications_stop_link", sa.Column("revoked_at", sa.DateTime(timezone=True)))
    op.create_index("notifications_stop_link_mailbox", "notifications_stop_link", ["mailbox"])
