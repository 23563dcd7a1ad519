from common.audit.tables import create_audit_table

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    create_audit_table()
