"""The students of a school are found and read in one index."""

from common.scope.tables import index_enrolments

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    index_enrolments()
