"""Who changed what, and who read what is sensitive, is on record."""

from common.audit.tables import create_audit_table

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    create_audit_table()
