"""Who is taken from a school by a deletion, or works at none any more, sees nobody there by what else was said of them."""

from common.scope.tables import create_views

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    create_views()
