"""Row security on what is of a school and of no student."""

from common.scope.tables import show_enrolments_to_schools

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    show_enrolments_to_schools()
