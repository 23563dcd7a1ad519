"""Row security on what is said and heard too, and views that read what hangs on the person alone once a statement."""

from common.scope.tables import create_views, protect_ways, protect_whole

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    create_views()
    protect_ways()
    protect_whole("mtss_rehearsal")
