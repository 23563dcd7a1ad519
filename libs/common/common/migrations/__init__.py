"""Migrations: each service has its own Alembic history; the tables that all share are made here."""

import asyncio
import importlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command, op
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.dialects.postgresql import BYTEA

from common.audit.tables import grants
from common.db import create_engine
from common.scope import EVERYTHING

_LOCK = 0x6D696772  # any number: one migration of a database at a time
_OWN_CLOCK = sa.text("now()")


def migrate(service: str, owner_url: str, application_role: str) -> list[str]:
    """Bring one service's database up to date and grant the application role what it needs; returns what was applied."""
    return asyncio.run(migrate_within(service, owner_url, application_role))


async def migrate_within(service: str, owner_url: str, application_role: str) -> list[str]:
    """As :func:`migrate`, within a running event loop."""
    engine = create_engine(owner_url)
    try:
        async with engine.begin() as connection:
            await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            await connection.run_sync(
                EVERYTHING.say
            )  # row security holds for the owner too, and a migration moves every row
            return await connection.run_sync(_upgrade, service, application_role)
    finally:
        await engine.dispose()


def pending(connection: sa.Connection, service: str) -> bool:
    """Whether the database is behind the migrations that this code has."""
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() != _head(service)


def create_shared_tables() -> None:
    """The tables every service has: outbox, inbox, offsets and parked events."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False),
        *_content(),
        sa.Column("created_at", moment, server_default=_OWN_CLOCK, nullable=False),
        sa.Column("published_at", moment),
    )
    op.create_index("outbox_unpublished", "outbox", ["position"], postgresql_where=sa.text("published_at IS NULL"))
    op.create_table(
        "inbox",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("received_at", moment, server_default=_OWN_CLOCK, nullable=False),
    )
    op.create_table(
        "inbox_offset",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("last_event_id", sa.Uuid, nullable=False),
    )
    op.create_table(
        "inbox_parked",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False),
        *_content(),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("parked_at", moment, server_default=_OWN_CLOCK, nullable=False),
        sa.Column("discarded_at", moment),
    )
    op.create_index("inbox_parked_subject", "inbox_parked", ["subject", "position"])
    op.create_table(
        "inbox_set_back",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("stored_offset", sa.BigInteger, nullable=False),
        sa.Column("committed_offset", sa.BigInteger, primary_key=True),
        sa.Column("noticed_at", moment, server_default=_OWN_CLOCK, nullable=False),
        sa.Column("acknowledged_at", moment),
        sa.Column("acknowledged_by", sa.Text),
    )
    op.execute(
        "CREATE FUNCTION outbox_said() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY outbox; RETURN NULL; END $$"
    )
    op.execute("CREATE TRIGGER outbox_said AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION outbox_said()")


def create_answers_table() -> None:
    """The answers that are given again to who sends a request again with its Idempotency-Key."""
    op.create_table(
        "answer",
        sa.Column("id", BYTEA, primary_key=True),
        sa.Column("sealed", BYTEA, nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), server_default=_OWN_CLOCK, nullable=False),
    )
    op.create_index("answer_given_at", "answer", ["given_at"])


def _content() -> list[sa.Column[Any]]:
    return [
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("body", BYTEA, nullable=False),
        sa.Column("traceparent", sa.Text),
    ]


@cache
def _head(service: str) -> str | None:
    return ScriptDirectory.from_config(_configuration(service)).get_current_head()


def _configuration(service: str, attributes: Mapping[str, Any] | None = None) -> Config:
    package = Path(str(importlib.import_module(service).__file__)).parent
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent))
    configuration.set_main_option("version_locations", str(package / "migrations" / "versions"))
    configuration.set_main_option("path_separator", "os")
    configuration.attributes.update(attributes or {})
    return configuration


def _upgrade(connection: sa.Connection, service: str, application_role: str) -> list[str]:
    applied: list[str] = []
    command.upgrade(_configuration(service, {"connection": connection, "applied": applied}), "head")
    _grant(connection, application_role)
    return applied


def _grant(connection: sa.Connection, role: str) -> None:
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", role):
        raise ValueError("a role's name has lower-case letters, digits and underscores")
    for statement in (
        f"GRANT USAGE ON SCHEMA public TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
        f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {role}",
        *grants(role),
    ):
        connection.execute(sa.text(statement))
