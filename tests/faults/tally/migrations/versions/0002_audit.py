from common.audit.tables import create_audit_table

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create_audit_table()
