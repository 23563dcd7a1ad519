from common.scope.tables import create_scope_tables, protect_ways

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create_scope_tables()
    protect_ways()
