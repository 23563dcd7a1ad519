"""Who changed what, and who read what is sensitive, is on record."""

from common.audit.tables import create_audit_table

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    create_audit_table()
