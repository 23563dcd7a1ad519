"""That a group is harmed more often does not hide that it is less often; and alerts that named who is served are over."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    op.execute(
        "UPDATE mtss_equity_alert SET found_at = now(), found_by = 'trellis' "
        "WHERE found_at IS NULL AND measure = 'served' AND side = 'more'"
    )
    op.drop_index("mtss_equity_alert_open", "mtss_equity_alert")
    op.create_index(
        "mtss_equity_alert_open",
        "mtss_equity_alert",
        ["measure", "kind", "group_name", "side"],
        unique=True,
        postgresql_where=sa.text("found_at IS NULL"),
    )
