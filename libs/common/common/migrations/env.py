"""What Alembic runs: the migrations of one service on the connection it was given."""

from typing import Any

from alembic import context

connection = context.config.attributes["connection"]
applied = context.config.attributes["applied"]


def note(*, step: Any, **_: Any) -> None:
    """Remember which migration ran."""
    applied.extend(step.up_revision_ids)


context.configure(
    connection=connection,
    on_version_apply=note,  # type: ignore[arg-type]  # called by keyword, typed as if by position
    transactional_ddl=True,
)
context.run_migrations()
