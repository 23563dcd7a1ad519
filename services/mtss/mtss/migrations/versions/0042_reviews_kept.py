"""By when a support was to be reviewed is kept from when it began on; what was said of a support stays, and when that was."""

from alembic import op

revision = "0042"
down_revision = "0041"

# Of supports that were reviewed before, the first day is not known any more. What is tried moves it, and nothing else does.
_SAID = "id, student_id, kind, tier, begun_on, first_review_on, contexts, known_at"


def upgrade() -> None:
    op.execute("ALTER TABLE mtss_support ADD COLUMN first_review_on date, ADD COLUMN known_at timestamptz")
    op.execute(
        """
        UPDATE mtss_support AS s SET first_review_on = CASE WHEN attempts = 0 THEN review_on END, known_at = coalesce((
            SELECT min(r.known_at) FROM mtss_ruling AS r WHERE r.support_id = s.id AND r.kind = 'support_begun'
        ), begun_on)
        """
    )
    op.execute("ALTER TABLE mtss_support ALTER COLUMN known_at SET NOT NULL")
    old, new = (", ".join(f"{row}.{each}" for each in _SAID.split(", ")) for row in ("OLD", "NEW"))
    stays = "FOR EACH ROW {when} EXECUTE FUNCTION mtss_record_stays()"
    op.execute(f"CREATE TRIGGER mtss_support_stays BEFORE DELETE ON mtss_support {stays.format(when='')}")
    moved = "NEW.review_on <> OLD.review_on AND NEW.attempts <> OLD.attempts + 1"
    when = f"WHEN (OLD.ended_on IS NOT NULL OR ({old}) IS DISTINCT FROM ({new}) OR {moved})"
    op.execute(f"CREATE TRIGGER mtss_support_stays_as_said BEFORE UPDATE ON mtss_support {stays.format(when=when)}")
