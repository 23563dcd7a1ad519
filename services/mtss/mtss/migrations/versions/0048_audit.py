"""Who changed what, and who read what is sensitive, is on record."""

from common.audit.tables import create_audit_table

revision = "0048"
down_revision = "0047"


def upgrade() -> None:
    create_audit_table()
