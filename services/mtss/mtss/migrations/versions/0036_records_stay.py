"""What was tried, how a student was and what a team was asked and agreed stay as they were said, and when that was."""

from alembic import op

revision = "0036"
down_revision = "0035"

# Ids are of version 7: their first 48 bits are the milliseconds at which they were made.
_MADE_AT = "to_timestamp(('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0)"
_STAYS = """
CREATE FUNCTION mtss_record_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was recorded never changes: it is followed by another record';
END $$
"""
_ASKED = "id, student_id, team, members, asked_on, by, reason, known_at"


def upgrade() -> None:
    for table in ("mtss_pulse", "mtss_team_referral"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN known_at timestamptz")
        op.execute(f"UPDATE {table} SET known_at = {_MADE_AT}")
        op.execute(f"ALTER TABLE {table} ALTER COLUMN known_at SET NOT NULL")
    op.execute("ALTER TABLE mtss_team_referral ADD COLUMN recorded_at timestamptz")
    op.execute(_STAYS)
    for table in ("mtss_attempt", "mtss_pulse"):
        op.execute(
            f"CREATE TRIGGER {table}_stays BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION mtss_record_stays()"
        )
    # What is asked of a team stays; what it agreed is said once.
    op.execute(
        "CREATE TRIGGER mtss_team_referral_stays BEFORE DELETE ON mtss_team_referral "
        "FOR EACH ROW EXECUTE FUNCTION mtss_record_stays()"
    )
    old, new = (", ".join(f"{row}.{each}" for each in _ASKED.split(", ")) for row in ("OLD", "NEW"))
    op.execute(
        "CREATE TRIGGER mtss_team_referral_stays_as_said BEFORE UPDATE ON mtss_team_referral FOR EACH ROW "
        f"WHEN (OLD.met_on IS NOT NULL OR ({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION mtss_record_stays()"
    )
