"""A service at work in a test: real PostgreSQL, the real application, events handed in and read from the outbox."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from uuid import UUID

import httpx
import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
import uvicorn
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from common import auth
from common.db import create_engine
from common.embedded import Cluster
from common.events import Event, by_type
from common.keys import read_keys, read_signing_key, write_keys
from common.limits import Limits
from common.migrations import migrate_within
from common.outbox import Record
from common.runtime import Runtime
from common.server import listen
from common.settings import Settings
from tests.documented import Documented

SERVICES = ("sis", "surveys", "mtss", "restorative", "notifications")
TIME_ZONE = "America/Denver"

E = TypeVar("E", bound=Event)


class Clock:
    """A clock that a test sets. Unset, it is the real one."""

    def __init__(self) -> None:
        self.at: datetime | None = None

    def __call__(self) -> datetime:
        return self.at or datetime.now(UTC)

    def set(self, at: datetime) -> None:
        """Stop the clock at ``at``, which must be aware."""
        self.at = at.astimezone(UTC)

    def advance(self, by: timedelta) -> None:
        """Move on by ``by``."""
        self.set(self() + by)


@dataclass
class Running:
    """One service in this process."""

    name: str
    app: FastAPI
    runtime: Runtime
    http: httpx.AsyncClient
    keys: Path
    admin: AsyncEngine
    clock: Clock

    def headers(
        self, role: str, *, schools: Sequence[str] = (), staff: UUID | None = None, permissions: Sequence[str] = ()
    ) -> dict[str, str]:
        """The header of a staff or SIS token."""
        key = read_signing_key(self.keys / "staff")
        token = auth.staff_token(key, role=role, schools=schools, staff=staff, permissions=permissions)
        return {"Authorization": f"Bearer {token}"}

    def service_headers(self, caller: str) -> dict[str, str]:
        """The header with which a sister service asks this one."""
        token = auth.service_token(read_signing_key(self.keys / caller), caller=caller, callee=self.name)
        return {"Authorization": f"Bearer {token}"}

    async def deliver(self, *events: Event) -> None:
        """Hand events in as one batch, as Kafka would."""
        await self.app.state.inbox.process([record(event) for event in events])

    async def said(self, *types: type[E]) -> list[E]:
        """The events in the outbox, in order; with ``types`` only those."""
        async with self.session() as session:
            rows = await session.execute(sa.text("SELECT type, body FROM outbox ORDER BY position"))
            events = [by_type()[kind].model_validate_json(body) for kind, body in rows]
        return [event for event in events if not types or isinstance(event, types)]  # type: ignore[misc]  # where no types are given, E is any event

    def session(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A transaction on the service's database, as its application role."""
        return self.runtime.transaction()

    async def empty(self) -> None:
        """Forget everything: rows, the clock and what was said."""
        self.clock.at = None
        async with self.admin.begin() as connection:
            await connection.execute(_EMPTY)


# Most tables are empty: deleting costs a hundredth of TRUNCATE, which makes new files for each. As a replica, no trigger asks.
_EMPTY = sa.text(
    """
    DO $$
    DECLARE each regclass;
    BEGIN
        SET LOCAL session_replication_role = replica;
        FOR each IN SELECT oid FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
        LOOP
            EXECUTE format('DELETE FROM %s', each);
        END LOOP;
        PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence;
    END $$
    """
)


@contextmanager
def buckets_not_refilling(running: Running) -> Iterator[None]:
    """Who may ask so often a second may ask so often in all."""
    state = running.app.state
    before, state.limits = state.limits, Limits(lambda: 0.0)
    try:
        yield
    finally:
        state.limits = before


async def etag_of(http: httpx.AsyncClient, path: str, headers: Mapping[str, str]) -> str:
    """The ETag that is read of what stands at ``path``, or of what it is part of."""
    while path.count("/") > 2:
        answer = await http.get(path, headers=dict(headers))
        if "ETag" in answer.headers:
            return answer.headers["ETag"]
        path = path.rpartition("/")[0]
    return '"none"'


def record(event: Event, *, identity: UUID | None = None) -> Record:
    """``event`` as it would arrive."""
    body = event.model_dump_json().encode()
    return Record(identity or uuid_utils.uuid7(), event.type(), event.subject, event.key, body)


@asynccontextmanager
async def run_service(
    name: str, cluster: Cluster, peers: Mapping[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Running]:
    """``name`` at work on a database of its own, its sisters replaced by the ASGI applications in ``peers``.

    Its loops stand still: a test calls a pass itself, at the time it means.
    """
    await migrate_within(name, cluster.owner_url(name), f"{name}_app")
    with TemporaryDirectory() as folder:
        keys, clock = Path(folder), Clock()
        await asyncio.to_thread(write_keys, keys, {*SERVICES, name})
        options = Settings(
            database_url=cluster.application_url(name), time_zone=TIME_ZONE, public_url="http://testserver"
        )
        runtime = Runtime.start(name, options.model_copy(update=settings), read_keys(keys / name))
        runtime.clock = clock
        for sister, peer in (peers or {}).items():
            runtime.clients.use(sister, httpx.ASGITransport(peer))
        app: FastAPI = import_module(f"{name}.app").app
        # What runs already is put back afterwards: tests of another folder may have it at work in this process.
        before = {each: getattr(app.state, each, None) for each in ("loops", "runtime", "inbox")}
        app.state.loops, app.state.runtime = (), runtime
        admin = create_engine(cluster.superuser_url(name), pool_size=1)
        try:
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=httpx.ASGITransport(Documented(app)), base_url="http://testserver") as http,
            ):
                yield Running(name, app, runtime, http, keys, admin, clock)
        finally:
            await admin.dispose()
            for each, value in before.items():
                setattr(app.state, each, value)


@asynccontextmanager
async def over_http(application: Any, **options: Any) -> AsyncIterator[str]:
    """The address at which ``application``, which has started already, answers over real connections."""
    configuration = {"lifespan": "off", "log_config": None, "access_log": False, **options}
    server = uvicorn.Server(uvicorn.Config(application, **configuration))
    listener = listen("127.0.0.1", 0)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 (uvicorn sets a flag, no event)
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
