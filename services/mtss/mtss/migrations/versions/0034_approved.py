"""What is approved for a day to come waits for it; a confirmation holds for what was shown; a revert says what it takes back."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    op.drop_column("mtss_adoption", "sure")
    op.add_column("mtss_adoption", sa.Column("reverts", sa.Integer))
    op.add_column("mtss_adoption", sa.Column("confirmed", sa.JSON))
    op.create_index(
        "mtss_decision_adopted", "mtss_decision", ["adoption"], postgresql_where=sa.text("cause = 'adopted'")
    )
