"""Which organisation is the district of a school is known from what the SIS says of the school."""

from common.scope.tables import create_views

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    create_views()
