"""The tables that migrations make are the tables that the models name, and the application role can do no more than it needs."""

from importlib import import_module
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

from common.db import create_engine
from common.embedded import Cluster
from common.migrations import migrate_within
from tests.harness import SERVICES


@pytest.mark.parametrize("service", SERVICES)
async def test_models_and_migrations_agree(cluster: Cluster, service: str) -> None:
    await migrate_within(service, cluster.owner_url(service), f"{service}_app")
    import_module(f"{service}.app")

    def differences(connection: sa.Connection) -> list[Any]:
        def ours(name: str | None, kind: str, _parents: Any) -> bool:
            return kind != "table" or (name or "").startswith(f"{service}_")

        context = MigrationContext.configure(connection, opts={"include_name": ours, "include_object": _of(service)})
        return list(compare_metadata(context, SQLModel.metadata))

    engine = create_engine(cluster.owner_url(service))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


def _of(service: str) -> Any:
    def ours(item: Any, name: str, kind: str, _reflected: bool, _other: Any) -> bool:
        return kind != "table" or name.startswith(f"{service}_")

    return ours


@pytest.mark.parametrize("service", SERVICES)
async def test_a_second_migration_applies_nothing(cluster: Cluster, service: str) -> None:
    await migrate_within(service, cluster.owner_url(service), f"{service}_app")

    assert await migrate_within(service, cluster.owner_url(service), f"{service}_app") == []


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE anything (id int)",
        "DROP TABLE outbox",
        "ALTER TABLE outbox ADD COLUMN anything int",
        "TRUNCATE outbox",
        "UPDATE alembic_version SET version_num = '0'",
        "CREATE ROLE anything",
        "SET ROLE postgres",
    ],
)
async def test_the_application_role_changes_no_schema(cluster: Cluster, service: str, statement: str) -> None:
    await migrate_within(service, cluster.owner_url(service), f"{service}_app")
    engine = create_engine(cluster.application_url(service))

    with pytest.raises(sa.exc.ProgrammingError):
        async with engine.begin() as connection:
            await connection.execute(sa.text(statement))
    await engine.dispose()


async def test_one_services_role_cannot_open_anothers_database(cluster: Cluster) -> None:
    engine = create_engine(cluster.application_url("mtss").replace("/mtss?", "/sis?"))

    with pytest.raises(Exception, match="permission denied for database"):
        async with engine.connect():
            pass
    await engine.dispose()
