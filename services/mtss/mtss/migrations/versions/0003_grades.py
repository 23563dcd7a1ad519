"""The grade of an enrolment: a policy may say otherwise for some grades."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("mtss_enrolment", sa.Column("grade", sa.String))
