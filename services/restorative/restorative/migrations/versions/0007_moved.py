"""Whom a relation names is seen where the member of staff works: who moves takes the view along."""

from common.scope.tables import create_views

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    create_views()
