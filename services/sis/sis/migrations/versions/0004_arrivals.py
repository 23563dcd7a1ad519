"""What arrived by source, resource and day; rejected rows; the sources' own counts; alerts that were told."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_MOMENT = sa.DateTime(timezone=True)
_COUNTS = ("accepted", "unchanged", "stale", "deleted", "waited", "rejected")


def upgrade() -> None:
    op.create_table(
        "sis_arrival",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("resource", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
        sa.Column("last_at", _MOMENT, nullable=False),
        sa.Column("newest_at", _MOMENT),
        postgresql_with={"fillfactor": "50"},
    )
    _create_rejected()
    op.create_table(
        "sis_source_count",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("resource", sa.Text, primary_key=True),
        sa.Column("school_id", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("told_at", _MOMENT, nullable=False),
    )
    op.create_table(
        "sis_alert",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("since", sa.Date, primary_key=True),
        sa.Column("reached", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("told_at", _MOMENT, nullable=False),
    )


def _create_rejected() -> None:
    op.create_table(
        "sis_rejected",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("deletes", sa.Boolean, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("times", sa.BigInteger, nullable=False),
        sa.Column("first_at", _MOMENT, nullable=False),
        sa.Column("last_at", _MOMENT, nullable=False),
        sa.Column("closed_at", _MOMENT),
        sa.Column("closed_as", sa.Text),
    )
    still_open = sa.text("closed_at IS NULL")
    op.create_index("sis_rejected_once", "sis_rejected", ["source", "resource", "digest"], unique=True)
    op.create_index("sis_rejected_open", "sis_rejected", ["source", "resource", "id"], postgresql_where=still_open)
    op.create_index("sis_rejected_key", "sis_rejected", ["resource", "key"], postgresql_where=still_open)
