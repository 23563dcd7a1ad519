"""Who may see whom, and row security on every table of students."""

from common.scope.tables import create_scope_tables, protect

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    create_scope_tables()
    for table in ("enrolment", "consent", "draft", "response"):
        protect(f"surveys_{table}")
    protect("surveys_link", also="digest = (SELECT scope_key())")
