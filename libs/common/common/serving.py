"""``trellis up``, ``serve`` and ``migrate``: what starts a service, apart from the commands that only ask one."""

import asyncio
import socket
from pathlib import Path
from typing import Annotated

import typer
from asyncpg import PostgresError
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from common import embedded
from common.commands import HERE, Data, one_sentence, out, services
from common.embedded import Cluster, EmbeddedError
from common.kafka import create_topics
from common.keys import read_keys, write_keys
from common.logs import configure_logging
from common.migrations import migrate_within
from common.origins import open_to
from common.process import Process
from common.production import refuse_unbound, refuse_unsafe
from common.runtime import Runtime
from common.server import listen, serve_http, start_again
from common.settings import NotConfigured, Settings

Port = Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)]


def up(
    port: Port = 8080,
    data: Data = HERE,
    kafka: Annotated[str, typer.Option(help="HOST:PORT of Kafka; without it events stay in this process.")] = "",
) -> None:
    """Run all services in one process, on a PostgreSQL that comes along. SIGHUP starts it again, refusing nobody meanwhile.

    Example: trellis up --port 8080 --data ./var
    """
    with one_sentence():
        embedded.refuse_in_use(data)
        listener = listen("0.0.0.0" if Settings().keys else "127.0.0.1", port)  # noqa: S104 (only with keys of one's own)
        embedded.make_folder(data)
        with embedded.alone(data):
            handed_on = _up(listener, data, port, kafka)
        if handed_on:
            start_again(handed_on)


def _up(listener: socket.socket, data: Path, port: int, kafka: str) -> socket.socket | None:
    names = sorted(services())
    keys = Settings().keys or data / "keys"
    if Settings().keys:
        _refuse_plain_http(Settings())
    else:
        write_keys(keys, names, trial=True)
    cluster, handed_on = embedded.start(data, names), None
    try:
        apps = [_embedded_app(name, cluster, keys / name, port=port, kafka=kafka) for name in names]
        asyncio.run(_migrate_all(names, cluster, data, kafka))
        here = f"http://127.0.0.1:{port}"
        embedded.tell_address(data, Settings().public_url or here, here)
        out.print(f"Trellis answers at {here}", highlight=False)
        with embedded.kept(cluster):
            handed_on = _serve(apps, listener, drains=False)
        return handed_on
    finally:
        if handed_on is None:  # else the next process goes on with it
            cluster.stop()


def serve(
    service: Annotated[str, typer.Argument(help="sis, surveys, mtss, restorative or notifications.")],
    port: Port = 8080,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "0.0.0.0",  # noqa: S104 (a container's own)
) -> None:
    """Run one service alone, as a container does. It never migrates.

    Example: TRELLIS_DATABASE_URL=… TRELLIS_KEYS=/keys TRELLIS_KAFKA=kafka:9092 TRELLIS_TIME_ZONE=America/Denver TRELLIS_PUBLIC_URL=https://trellis.district.example trellis serve mtss
    """
    with one_sentence():
        service_app = _known(service)
        _refuse_plain_http(Settings())
        if not Settings().kafka:
            raise NotConfigured(
                "TRELLIS_KAFKA is missing: HOST:PORT of Kafka, over which this service hears the others."
            )
        service_app.state.runtime = runtime = Runtime.start(service, Settings())
        refuse_unsafe(service_app, runtime.settings, runtime.keys)
        asyncio.run(refuse_unbound(runtime.settings.database_url))
        _serve([service_app], listen(host, port), drains=True)


def _refuse_plain_http(settings: Settings) -> None:
    """Raise unless the identity provider's keys come over TLS. On this machine alone, with keys made here, they need not."""
    if settings.oidc and not settings.oidc.issuer.startswith("https://"):
        raise NotConfigured("TRELLIS_OIDC__ISSUER must begin with https:// where Trellis is more than a trial.")


def migrate(service: Annotated[str | None, typer.Argument(help="One service; all if left out.")] = None) -> None:
    """Bring databases up to date as their owner, grant the application role, and create missing topics.

    TRELLIS_OWNER_DATABASE_URL may hold {service}: postgresql://{service}_owner:…@db/{service}

    Example: TRELLIS_OWNER_DATABASE_URL=… TRELLIS_KAFKA=kafka:9092 trellis migrate mtss
    """
    with one_sentence():
        settings = Settings()
        names = [service] if service else sorted(services())
        if not settings.owner_database_url:
            raise NotConfigured("TRELLIS_OWNER_DATABASE_URL is missing: the database's address as its owner.")
        for name in names:
            _known(name)
            own = settings.filled(name)
            try:
                applied = asyncio.run(migrate_within(name, own.owner_database_url, own.application_role))
            except (SQLAlchemyError, PostgresError, OSError) as error:
                raise NotConfigured(
                    f"The database of {name} does not take its migrations ({type(error).__name__}): "
                    "is it running, and is TRELLIS_OWNER_DATABASE_URL right?"
                ) from None
            out.print(f"{name}: {', '.join(applied) if applied else 'already current'}")
        if settings.kafka:
            heard = {topic for name in names for topic in _known(name).state.events.owners()}
            made = asyncio.run(create_topics(settings, {*names, *heard}))
            out.print(f"topics: {', '.join(made) if made else 'all there'}")


def _known(service: str) -> FastAPI:
    found = services().get(service)
    if found is None:
        raise NotConfigured(f"There is no service of that name: choose one of {', '.join(sorted(services()))}.")
    application: FastAPI = found()
    return application


def _embedded_app(name: str, cluster: Cluster, keys_folder: Path, *, port: int, kafka: str) -> FastAPI:
    settings, own_address = Settings(), f"http://127.0.0.1:{port}"
    own = settings.model_copy(
        update={
            "database_url": cluster.application_url(name),
            "owner_database_url": cluster.owner_url(name),
            "kafka": kafka or settings.kafka,
            "time_zone": settings.time_zone or _machine_zone(),
            "public_url": settings.public_url or own_address,
            # Its sisters are in this process, whatever the address that people use.
            "peers": dict.fromkeys(services(), own_address),
        }
    )
    service_app = _known(name)
    known = read_keys(keys_folder)
    if settings.keys:
        refuse_unsafe(service_app, own, known)
    service_app.state.runtime = Runtime.start(name, own, known)
    return service_app


def _machine_zone() -> str:
    _, _, name = str(Path("/etc/localtime").resolve()).partition("zoneinfo/")
    return name or "UTC"


async def _migrate_all(names: list[str], cluster: Cluster, data: Path, kafka: str) -> None:
    applied: list[str] = []
    for name in names:  # one after the other: Alembic's operations speak to one database at a time
        try:
            applied += await migrate_within(name, cluster.owner_url(name), f"{name}_app")
        except (SQLAlchemyError, PostgresError, OSError) as error:
            failed = f"does not take the migrations of {name}"
            raise EmbeddedError(embedded.sentence_of(type(error).__name__, data, failed=failed)) from None
    if applied:
        embedded.write_down(cluster)
    if kafka:
        await create_topics(Settings().model_copy(update={"kafka": kafka}), names)


def _serve(apps: list[FastAPI], listener: socket.socket, *, drains: bool) -> socket.socket | None:
    configure_logging("trellis" if len(apps) > 1 else apps[0].state.name, Settings().log_folder)
    return serve_http(open_to(Process(apps), Settings().allowed_origins), listener, drains=drains)
