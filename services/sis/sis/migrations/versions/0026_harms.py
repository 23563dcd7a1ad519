"""Each part in an incident is gone through once, for whether somebody was hurt or something damaged."""

from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.execute(
        "INSERT INTO sis_unfollowed VALUES ('studentDisciplineIncidentBehaviorAssociations') ON CONFLICT DO NOTHING"
    )
