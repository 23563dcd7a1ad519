"""The digest that a policy had before an upgrade completed it stays as well: what was decided then is held against it."""

from alembic import op

revision = "0047"
down_revision = "0046"

_STAYS = """
CREATE OR REPLACE FUNCTION mtss_policy_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'mtss_policy' THEN
        IF (NEW.version, NEW.document::text, NEW.digest, NEW.digest_before, NEW.drafted_by, NEW.drafted_at)
            IS NOT DISTINCT FROM
            (OLD.version, OLD.document::text, OLD.digest, OLD.digest_before, OLD.drafted_by, OLD.drafted_at) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'a policy and its history never change';
END $$
"""


def upgrade() -> None:
    op.execute(_STAYS)
