"""Answers that are given again to who asks again with the same Idempotency-Key."""

from common.migrations import create_answers_table

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    create_answers_table()
