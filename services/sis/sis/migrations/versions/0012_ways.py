"""Row security on what is said and heard too, and views that read what hangs on the person alone once a statement."""

from common.scope.tables import create_views, protect_ways, protect_whole

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    create_views()
    protect_ways()
    protect_whole("sis_client_document")
