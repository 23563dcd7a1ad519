"""Who may see whom, and row security on every table of students."""

from common.scope.tables import create_scope_tables, protect, protect_through

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    create_scope_tables()
    for table in ("fact", "occasion", "notice", "letter", "task"):
        protect(f"notifications_{table}")
    protect_through("notifications_attempt", "notice_id", "notifications_notice")
