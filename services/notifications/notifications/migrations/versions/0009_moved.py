"""Whom a relation names is seen where the member of staff works: who moves takes the view along."""

from common.scope.tables import create_views

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    create_views()
