"""What a service says leaves through its outbox: written in the same transaction as the change it tells of."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from common.db import fetch, fetch_from
from common.errors import TooLarge
from common.events import Event
from common.failpoints import failpoint
from common.ids import new_id
from common.runtime import Runtime, asked_to_stop
from common.scope import see_all_along
from common.telemetry import traceparent

LARGEST_EVENT_BYTES = 1024 * 1024
BATCH = 500
_RELAY_LOCK = 0x7472656C  # any number, the same for every relay of one database
_IDLE_SECONDS = 1.0
_TOGETHER_SECONDS, _MORE_SECONDS = 0.03, 0.0005
"""While events keep coming, those of so long go together, and so much longer for each that came: a round costs the database and
Kafka as much as ten events. At 100 a second that is 32 ms, at 1,400 it is 100."""
_RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)

_COLUMNS = "id, type, subject, key, body, traceparent"
_GIVEN = """CAST(:ids AS uuid[]), CAST(:types AS text[]), CAST(:subjects AS text[]), CAST(:keys AS text[]),
        CAST(:bodies AS bytea[]), CAST(:traceparents AS text[])"""
_SAY = f"INSERT INTO outbox ({_COLUMNS}) SELECT * FROM unnest({_GIVEN})"  # noqa: S608 (columns of our own)
_INSERT = sa.text(_SAY)
_INSERT_AGAIN = sa.text(f"{_SAY} ON CONFLICT (id) DO UPDATE SET published_at = NULL")
# Sorted, which waits for all that is stored: an event takes its place in the outbox once its aggregate's row is locked.
SAYING_STORED = f"""
    said AS (
        INSERT INTO outbox ({_COLUMNS})
        SELECT {_COLUMNS} FROM unnest(CAST(:of AS uuid[]), {_GIVEN}) WITH ORDINALITY AS given(of, {_COLUMNS}, place)
        WHERE of IN (SELECT id FROM stored) ORDER BY place
    )
    """  # noqa: S608 (as above)
"""The part of a statement that says the events of what its part ``stored`` returns the ids of."""
_UNPUBLISHED = sa.text(
    """
    SELECT id, type, subject, key, body, traceparent, created_at FROM outbox
    WHERE published_at IS NULL ORDER BY position LIMIT :batch
    """
)
_MARK = sa.text("UPDATE outbox SET published_at = clock_timestamp() WHERE id = ANY(CAST(:ids AS uuid[]))")


@dataclass(slots=True)  # not frozen: that would make each three times as dear, and there is one for each event
class Record:
    """One event on its way: what the outbox holds and what a topic carries."""

    id: UUID
    type: str
    subject: str
    key: str
    body: bytes
    traceparent: str | None = None
    created_at: datetime | None = None
    topic: str | None = None
    partition: int = 0
    offset: int = -1


Send = Callable[[Sequence[Record]], Awaitable[None]]


async def publish(session: AsyncSession, *events: Event) -> None:
    """Say ``events`` once this transaction commits, in this order. Lock the aggregate's row before, never after.

    Raises:
        TooLarge: an event is larger than 1 MiB.
    """
    await _say(session, _INSERT, {new_id(): event for event in events})


async def publish_stored(
    session: AsyncSession, store: sa.TextClause, values: Mapping[str, Any], events: Mapping[UUID, Event]
) -> set[UUID]:
    """Execute ``store``, which returns the ids of what it stored, and say the events of those in this order, all in one trip.

    Raises:
        TooLarge: an event is larger than 1 MiB.
    """
    if events:
        store, values = _and_say(store), {**values, **values_of(events)}
    return {identity for (identity,) in await fetch(session, store, values)}


async def publish_standing(session: AsyncSession, events: Sequence[Event]) -> None:
    """Say again how facts stand, under ids that the same state always gets: whoever knows them already does nothing."""
    await _say(session, _INSERT_AGAIN, {event.standing_id(): event for event in events})


async def _say(session: AsyncSession, insert: sa.TextClause, events: Mapping[UUID, Event]) -> None:
    if events:
        await fetch(session, insert, _values(events))


@cache
def _and_say(store: sa.TextClause) -> sa.TextClause:
    return sa.text(f"WITH stored AS ({store.text}), {SAYING_STORED} SELECT id FROM stored")  # noqa: S608 (as above)


def values_of(events: Mapping[UUID, Event]) -> dict[str, Any]:
    """The values of :data:`SAYING_STORED`: the event of each id, in this order.

    Raises:
        TooLarge: an event is larger than 1 MiB.
    """
    return {**_values({new_id(): event for event in events.values()}), "of": list(events)}


def _values(events: Mapping[UUID, Event]) -> dict[str, Any]:
    bodies = [event.model_dump_json().encode() for event in events.values()]
    if max(map(len, bodies)) > LARGEST_EVENT_BYTES:
        raise TooLarge(what="An event", limit=LARGEST_EVENT_BYTES)
    return {
        "ids": list(events),
        "types": [event.type() for event in events.values()],
        "subjects": [event.subject for event in events.values()],
        "keys": [event.key for event in events.values()],
        "bodies": bodies,
        "traceparents": [traceparent()] * len(events),
    }


async def relay(runtime: Runtime, sending: Callable[[], Any]) -> None:
    """Send what waits in the outbox, oldest first, for ever.

    One relay at a time: it holds an advisory lock on the connection that selects and marks. ``sending()`` is an async
    context manager that gives a :data:`Send`; after any failure it is thrown away and everything begins again at the
    oldest unpublished row, which repeats and never loses.
    """
    while True:
        try:
            async with _alone(runtime) as (driver, said), sending() as send:
                await _pump(runtime, driver, said, send)
        except (Exception, asyncio.CancelledError) as error:
            if asked_to_stop(error):
                raise
            host = runtime.host_behind(error)
            log.warning("relay waits", service=runtime.name, error=type(error).__name__, host=host)
            runtime.beat("relay")
            await asyncio.sleep(_RETRY_SECONDS)


async def drain(runtime: Runtime, send: Send) -> int:
    """Send what waits now and return how many there were."""
    total = 0
    while True:
        async with runtime.transaction() as session:
            rows = [Record(*row) for row in await fetch(session, _UNPUBLISHED, {"batch": BATCH})]
            if not rows:
                return total
            await send(rows)
            await fetch(session, _MARK, {"ids": [row.id for row in rows]})
        total += len(rows)


async def _pump(runtime: Runtime, driver: Any, said: asyncio.Event, send: Send) -> None:
    while True:
        said.clear()
        rows = await _next(driver)
        runtime.beat("relay")
        if rows:
            failpoint("relay-before-send")
            await send(rows)
            failpoint("relay-after-send")
            await _mark(driver, rows)
        if len(rows) < BATCH:  # else more of them wait
            await (asyncio.sleep(_TOGETHER_SECONDS + len(rows) * _MORE_SECONDS) if rows else _wait(said))


# Straight to the driver, each a transaction of its own: through SQLAlchemy they cost as much as handing over the events.
async def _next(driver: Any) -> list[Record]:
    return [Record(*row) for row in await fetch_from(driver, _UNPUBLISHED, {"batch": BATCH})]


async def _mark(driver: Any, rows: Sequence[Record]) -> None:
    await fetch_from(driver, _MARK, {"ids": [row.id for row in rows]})


async def _wait(said: asyncio.Event) -> None:
    # Not wait_for: in Python 3.11 it loses a cancellation that comes together with the end of the waiting.
    try:
        async with asyncio.timeout(_IDLE_SECONDS):
            await said.wait()
    except TimeoutError:
        return


@asynccontextmanager
async def _alone(runtime: Runtime) -> AsyncIterator[tuple[Any, asyncio.Event]]:
    """The driver's connection that holds the relay's lock, and an event set whenever something was said."""
    said = asyncio.Event()
    async with runtime.engine.connect() as plain:
        try:
            yield await _locked(runtime, plain, said), said
        finally:
            # The lock lives as long as the session: a pooled connection must not keep it.
            await plain.invalidate()


async def _locked(runtime: Runtime, plain: AsyncConnection, said: asyncio.Event) -> Any:
    connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
    while not (await connection.execute(sa.text("SELECT pg_try_advisory_lock(:k)"), {"k": _RELAY_LOCK})).scalar():
        runtime.beat("relay")
        await asyncio.sleep(_IDLE_SECONDS)
    driver: Any = (await connection.get_raw_connection()).driver_connection

    def heard(*_: object) -> None:
        said.set()

    await see_all_along(driver)
    await driver.add_listener("outbox", heard)
    return driver
