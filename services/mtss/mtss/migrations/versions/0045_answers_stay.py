"""What was asked for, what was answered, and what somebody found about a ratio stay as they were said."""

from alembic import op

revision = "0045"
down_revision = "0044"

_ASKED = "id, student_id, asked_on, author, by, words, signs, urgent, known_at"
_RAISED = "id, month, measure, kind, group_name, side, ratio, low, high, threshold"


def upgrade() -> None:
    for table, said, answered in (
        ("mtss_help_request", _ASKED, "answered_on"),
        ("mtss_equity_alert", _RAISED, "found_at"),
    ):
        old, new = (", ".join(f"{row}.{each}" for each in said.split(", ")) for row in ("OLD", "NEW"))
        op.execute(
            f"CREATE TRIGGER {table}_stays BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION mtss_record_stays()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_stays_as_said BEFORE UPDATE ON {table} FOR EACH ROW "
            f"WHEN (OLD.{answered} IS NOT NULL OR ({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION mtss_record_stays()"
        )
