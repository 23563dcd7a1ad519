"""A statement that stores only where everything stands as it was read takes itself back as a whole elsewhere."""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    # 40001: who gets it tries again another way, as after any conflict with another transaction.
    op.execute(
        """
        CREATE FUNCTION sis_insist(stands boolean) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
            IF stands IS NOT TRUE THEN
                RAISE EXCEPTION 'something stands otherwise by now' USING ERRCODE = 'serialization_failure';
            END IF;
        END $$
        """
    )
