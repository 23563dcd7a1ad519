"""The students of a school are found and read in one index."""

from common.scope.tables import index_enrolments

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    index_enrolments()
