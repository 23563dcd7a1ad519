"""What was decided stays as it was said: the database refuses to alter a decision, or to take one out."""

from alembic import op

revision = "0022"
down_revision = "0021"

_STAYS = """
CREATE FUNCTION mtss_decision_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was decided never changes: it is followed by another decision';
END $$
"""


def upgrade() -> None:
    op.execute(_STAYS)
    op.execute(
        "CREATE TRIGGER mtss_decision_stays BEFORE UPDATE OR DELETE ON mtss_decision "
        "FOR EACH ROW EXECUTE FUNCTION mtss_decision_stays()"
    )
