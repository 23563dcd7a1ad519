"""What one running service holds: settings, database, keys, clients and the clock."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Annotated

from asyncpg import InterfaceError, PostgresError
from fastapi import Depends, Request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from common.clients import Clients
from common.db import AFTERWARDS, create_engine
from common.keys import DOOR_SERVICE, Keys, KeysMissing, read_keys
from common.migrations import pending
from common.production import is_unbound
from common.provider import Provider
from common.scope import EVERYTHING, Sight, session_for
from common.sealed import Vault
from common.settings import NotConfigured, Settings

_OF_THE_DATABASE = (OSError, SQLAlchemyError, PostgresError, InterfaceError)


def asked_to_stop(error: BaseException) -> bool:
    """Whether this task was cancelled by whoever runs it. aiokafka may cancel what waits for it: that ends nothing."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel ``tasks`` and wait until they are over; one that loses a cancellation is asked again."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=0.5)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(eq=False)
class Runtime:
    """One service at work."""

    name: str
    settings: Settings
    keys: Keys
    engine: AsyncEngine
    vault: Vault
    clients: Clients
    provider: Provider | None = None
    """The district's own identity provider, if staff sign in there."""
    clock: Callable[[], datetime] = _utc_now
    lag: int | None = None
    """How many events Kafka holds that this service has not heard; null where it hears nothing over Kafka."""
    beats: dict[str, float] = field(default_factory=dict)
    """Until when each loop must have come round again, by the monotonic clock."""
    refused: Counter[tuple[str | None, tuple[tuple[str, str], ...]]] = field(default_factory=Counter)
    """How often this minute each who asks was refused: by what the log calls them, or by address where it calls them nothing."""

    def host_behind(self, error: BaseException) -> str | None:
        """Host and port of Kafka or of the database, whichever does not answer; ``None`` if neither is why."""
        if type(error).__module__.startswith("aiokafka."):
            return self.settings.kafka
        at = self.engine.url
        return f"{at.host}:{at.port or 5432}" if at.host and isinstance(error, _OF_THE_DATABASE) else None

    @classmethod
    def start(cls, name: str, settings: Settings, keys: Keys | None = None) -> "Runtime":
        """A runtime from its settings.

        Raises:
            NotConfigured: no database address, no time zone or no public address.
            KeysMissing: no keys, or at the door not that of its clients' tokens.
        """
        settings = settings.filled(name)
        if not settings.database_url:
            raise NotConfigured("TRELLIS_DATABASE_URL is missing: the address of this service's own database.")
        if not settings.time_zone:
            raise NotConfigured("TRELLIS_TIME_ZONE is missing: the district's time zone, such as America/Denver.")
        if not settings.public_url:
            raise NotConfigured(
                "TRELLIS_PUBLIC_URL is missing: the address at which people and services reach Trellis."
            )
        keys = keys or _configured_keys(settings)
        if name == DOOR_SERVICE and keys.door is None:
            raise KeysMissing(
                "door.jwk is missing from the keys of sis, and OAuth clients get their tokens from it: run `trellis keys DIR`, "
                "which adds it and leaves every other key as it is."
            )
        clients = Clients(name, keys.signing, settings)
        return cls(
            name=name,
            settings=settings,
            keys=keys,
            engine=create_engine(settings.database_url),
            vault=Vault(keys.sealing),
            clients=clients,
            provider=Provider(settings.oidc, clients) if settings.oidc else None,
        )

    def now(self) -> datetime:
        """The time, aware and in UTC."""
        return self.clock()

    def today(self) -> date:
        """The date in the district's time zone."""
        return self.date_of(self.clock())

    def date_of(self, at: datetime) -> date:
        """The date of a moment in the district's time zone."""
        return at.astimezone(self.settings.zone).date()

    def beat(self, loop: str, *, within: float = 90) -> None:
        """Say that ``loop`` is alive, and will say so again ``within`` seconds."""
        self.beats[loop] = time.monotonic() + within

    def alive(self) -> bool:
        """Whether every loop came round in its time."""
        return all(until > time.monotonic() for until in self.beats.values())

    async def ready(self) -> bool:
        """Whether the database answers, has every migration and is bound by row security. Kafka does not matter: the outbox waits."""
        try:
            async with self.engine.connect() as connection:
                return not (await connection.run_sync(pending, self.name) or await is_unbound(connection))
        except (SQLAlchemyError, OSError):
            return False

    @asynccontextmanager
    async def transaction(self, sight: Callable[[], Sight] = lambda: EVERYTHING) -> AsyncIterator[AsyncSession]:
        """A session in one transaction: committed at the end, rolled back on any error.

        It sees everything, as our own loops and handlers must; with ``sight`` what that says when it begins.
        """
        async with session_for(self.engine, sight) as session:
            session.info.update({"zone": self.settings.zone, AFTERWARDS: []})
            async with session.begin():
                yield session
            for say in session.info[AFTERWARDS]:
                say()

    async def close(self) -> None:
        """Give back connections."""
        if self.provider:
            await self.provider.close()
        await self.clients.close()
        await self.engine.dispose()


def _configured_keys(settings: Settings) -> Keys:
    if settings.keys is None:
        raise KeysMissing("TRELLIS_KEYS is missing: this service's folder of keys, as `trellis keys DIR` writes it.")
    return read_keys(settings.keys)


# Not plain functions: FastAPI would run those in a thread, for each request.
async def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeOf = Annotated[Runtime, Depends(_runtime)]


async def _now(runtime: RuntimeOf) -> datetime:
    return runtime.now()


async def _today(runtime: RuntimeOf) -> date:
    return runtime.today()


Now = Annotated[datetime, Depends(_now)]
Today = Annotated[date, Depends(_today)]
