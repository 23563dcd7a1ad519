"""What clients are bound to, the people that bound ones made, and each secret with who made it and until when it holds."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0008"
down_revision = "0007"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "sis_client_secret",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("client_id", sa.Uuid, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("made_at", _MOMENT, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("until", _MOMENT),
        sa.Column("last_token_at", _MOMENT),
    )
    op.create_index("sis_client_secret_client", "sis_client_secret", ["client_id"])
    op.execute(
        """
        INSERT INTO sis_client_secret (id, client_id, digest, made_at, made_by)
        SELECT gen_random_uuid(), id, unnest(secret_digests), created_at, created_by FROM sis_client
        """
    )
    op.drop_column("sis_client", "secret_digests")
    op.add_column("sis_client", sa.Column("revoked_by", sa.Text))
    op.add_column("sis_client", sa.Column("resources", ARRAY(sa.Text)))
    op.add_column("sis_client", sa.Column("schools", ARRAY(sa.Text)))
    op.create_table(
        "sis_client_document",
        sa.Column("document_id", sa.Uuid, primary_key=True),
        sa.Column("client_id", sa.Uuid, nullable=False),
    )
    op.create_index("sis_client_document_client", "sis_client_document", ["client_id"])
    # By what a school's people are found. Attendance is not in it, so that it stays small.
    op.execute(
        """
        CREATE INDEX sis_document_associates ON sis_document (school_id) WHERE resource IN (
            'studentSchoolAssociations', 'staffEducationOrganizationAssignmentAssociations', 'staffSectionAssociations'
        )
        """
    )
