"""The table of the audit log, which every service has: rows come, are sealed once, and stay."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from common.scope.tables import protect_whole

WRITTEN = ("id", "subject", "role", "method", "route", "purpose", "reads", "students", "status", "repeated", "request")
"""What the application says of a row. When it was, the database says itself; the seal comes later."""
SEAL = ("number", "digest")

_STAYS = "CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the audit log stays'; END $$"
# The owner too: who takes a trigger away does more than a slip.
_TRIGGERS = (
    "audit_kept BEFORE DELETE ON audit FOR EACH ROW",
    "audit_whole BEFORE TRUNCATE ON audit FOR EACH STATEMENT",
    "audit_sealed_once BEFORE UPDATE ON audit FOR EACH ROW WHEN (OLD.number IS NOT NULL)",
    f"audit_as_written BEFORE UPDATE OF at, {', '.join(WRITTEN)} ON audit FOR EACH ROW",
)


def create_audit_table() -> None:
    """The audit log: rows are added in the transaction of what they record, and get number and digest once that is committed."""
    text = (sa.Column(name, sa.Text, nullable=False) for name in ("subject", "role", "method", "route", "purpose"))
    op.create_table(
        "audit",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        *text,
        sa.Column("reads", ARRAY(sa.Text), nullable=False),
        sa.Column("students", ARRAY(sa.Uuid), nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("repeated", sa.Boolean, nullable=False),
        sa.Column("request", sa.Text),
        sa.Column("number", sa.BigInteger, unique=True),
        sa.Column("digest", sa.Text),
        sa.CheckConstraint("(number IS NULL) = (digest IS NULL)", name="audit_sealed_whole"),
    )
    op.create_index("audit_unsealed", "audit", ["id"], postgresql_where=sa.text("number IS NULL"))
    op.create_index("audit_subject", "audit", ["subject", "number"])
    op.create_index("audit_students", "audit", ["students"], postgresql_using="gin")
    op.create_index("audit_at", "audit", ["at"], postgresql_using="brin")
    op.execute(_STAYS)
    for trigger in _TRIGGERS:
        op.execute(f"CREATE TRIGGER {trigger} EXECUTE FUNCTION audit_stays()")
    protect_whole("audit")
    op.execute("CREATE POLICY written ON audit FOR INSERT WITH CHECK (true)")


def grants(role: str) -> tuple[str, ...]:
    """What the application role may do with the audit log: read it, add to it, and seal what is added."""
    return (
        f"REVOKE INSERT, UPDATE, DELETE ON audit FROM {role}",
        f"GRANT INSERT ({', '.join(WRITTEN)}) ON audit TO {role}",
        f"GRANT UPDATE ({', '.join(SEAL)}) ON audit TO {role}",
    )
