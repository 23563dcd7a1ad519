"""Proposals keep what they rest on, as decisions do; and what was said before there were digests gets its own now.

So none is without one any more, and whoever empties a digest is found.
"""

import json
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0041"
down_revision = "0040"

_NOT_SAID = ("digest", "closed_at")
_AT_ONCE = 2000


def upgrade() -> None:
    give_digests()
    op.alter_column("mtss_proposal", "digest", server_default=None)
    op.add_column("mtss_proposal", sa.Column("facts", JSONB, nullable=False, server_default="{}"))
    op.add_column("mtss_proposal", sa.Column("adoption", sa.Integer, nullable=False, server_default="0"))
    op.alter_column("mtss_proposal", "facts", server_default=None)


def give_digests() -> None:
    """A digest to whatever has none."""
    bind = op.get_bind()
    for table in ("mtss_decision", "mtss_proposal"):
        kept = sa.Table(table, sa.MetaData(), autoload_with=bind)
        given = sa.update(kept).where(kept.c.id == sa.bindparam("row")).values(digest=sa.bindparam("says"))
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        while rows := bind.execute(sa.select(kept).where(kept.c.digest == "").limit(_AT_ONCE)).mappings().all():
            bind.execute(given, [{"row": row["id"], "says": _digest(row)} for row in rows])
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def _digest(row: Any) -> str:
    later = (
        ("ruling", "tier_beneath") if "number" in row else ("facts", "adoption")
    )  # they count where they say something
    said = {name: value for name, value in row.items() if name not in _NOT_SAID and (value or name not in later)}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), default=str)
    return blake2b(text.encode(), digest_size=16).hexdigest()
