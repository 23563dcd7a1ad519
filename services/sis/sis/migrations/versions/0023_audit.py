"""Who changed what, and who read what is sensitive, is on record."""

from common.audit.tables import create_audit_table

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    create_audit_table()
