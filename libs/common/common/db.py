"""Transactions: one per request, committed before the response."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import Annotated, Any, ClassVar

import asyncpg
import sqlalchemy as sa
from fastapi import Depends, Request
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import SQLModel

from common.scope import EVERYTHING, NOTHING, Sight, see_all_along, see_nothing, session_for, sight_of

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_TRUSTED_SECONDS = 1.0
"""A connection that was used less long ago is taken as it is: only a network that broke without a word could have cut it."""
_HELD = "trellis.session"
AFTERWARDS = "trellis.afterwards"
"""What shall be said once a session's transaction is committed."""
_OF_EVERY_CONNECTION = {
    "timezone": "UTC",
    "jit": "off",
    # Otherwise PostgreSQL plans a statement anew for each short array that it is given: up to half of what it does for us.
    "plan_cache_mode": "force_generic_plan",
}
_DIALECT = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy has no types for its dialects


class Table(SQLModel):
    """A table of ours. Rows are facts for storage; rules never see them."""

    __tablename__: ClassVar[Any]


class _Driver(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection that says whom the next transaction sees in the same trip in which it begins."""

    says = ""

    async def execute(self, query: str, *args: Any, **options: Any) -> Any:
        """As asyncpg's, which begins a transaction so."""
        if query.startswith("BEGIN"):
            query, self.says = query + self.says, ""
        return await super().execute(query, *args, **options)


def create_engine(url: str, *, pool_size: int = 8) -> AsyncEngine:
    """An engine whose errors never show parameters.

    ``url`` may start with ``postgresql://`` or ``postgresql+asyncpg://``.
    """
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://", 1),
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=8,
        pool_use_lifo=True,  # the connection used last has its statements prepared and its plans warm
        connect_args={"server_settings": _OF_EVERY_CONNECTION, "connection_class": _Driver},
    )
    sa.event.listen(engine.sync_engine, "checkout", _check_rested)
    sa.event.listen(engine.sync_engine, "checkin", _note_rest)
    return engine


# As SQLAlchemy's pre-ping, which asks the database three times before each transaction: here only a connection that has rested
# is asked. One that the server ended is known without asking.
def _check_rested(connection: Any, record: ConnectionPoolEntry, _: object) -> None:
    if connection.driver_connection.is_closed():
        raise sa.exc.InvalidatePoolError
    now = time.monotonic()
    if now - record.info.get("rests since", now) < _TRUSTED_SECONDS:
        return
    try:
        connection.ping()
    except Exception:  # noqa: BLE001 (whatever it is, another connection may still be had)
        raise sa.exc.InvalidatePoolError from None


def _note_rest(connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["rests since"] = time.monotonic()
    if connection is not None:  # what a transaction was to say that never began is not the next one's
        connection.driver_connection.says = ""


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    """One transaction: committed when the route returned, rolled back when it raised. It sees what its principal sees."""
    held: AsyncSession | None = request.scope.get(_HELD)
    if held is not None:
        yield held
        return
    runtime = request.app.state.runtime

    def sight() -> Sight:  # asked at the first statement: by then the route's permission has found out who asks
        who = getattr(request.state, "principal", None)
        return sight_of(who, runtime.today()) if who else NOTHING

    async with runtime.transaction(sight) as session:
        yield session


async def hold_session(request: Request) -> AsyncSession:
    """The transaction of this request, begun before its route is asked; the route's own ``Session`` is the same."""
    stack = request.scope["fastapi_function_astack"]  # what Depends(…, scope="function") is closed with
    session: AsyncSession = await stack.enter_async_context(asynccontextmanager(open_session)(request))
    request.scope[_HELD] = session
    return session


# scope="function": the commit comes before the response, so no 201 is sent for a commit that failed.
Session = Annotated[AsyncSession, Depends(open_session, scope="function")]


class Transactions:
    """Transactions one after the other, each seeing everything, on one connection unless others need it.

    They begin and end straight at the driver, for with a session's help that costs as much as ten statements. Only
    :func:`fetch` is as direct; what else their session is asked for takes its usual way, in the same transaction.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._held: tuple[AsyncConnection, Any] | None = None

    async def __aenter__(self) -> "Transactions":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._let_go()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """A session in the next transaction: committed at the end, rolled back on any error."""
        connection, driver = await self._hold()
        session = session_for(connection, lambda: EVERYTHING)
        try:
            await driver.execute("BEGIN")
            session.info["driver"] = _innermost(session), None if _is_listened_to(connection) else driver
            try:
                yield session
                if session.in_transaction():
                    await session.flush()
            finally:
                if session.in_transaction():  # one that was asked for nothing holds nothing
                    await asyncio.shield(session.close())
            await driver.execute("COMMIT")
        except BaseException:
            await self._roll_back(connection, driver)
            raise
        finally:
            await self._let_go_if_wanted()

    @asynccontextmanager
    async def outright(self) -> AsyncIterator[Any]:
        """The driver's connection outside of a transaction, for :func:`fetch_from`: each statement is whole by itself.

        ``None`` where somebody listens to the engine (traces): what goes straight to the driver would not be heard.
        """
        connection, driver = await self._hold()
        try:
            yield None if _is_listened_to(connection) else driver
        finally:
            await self._let_go_if_wanted()

    async def _hold(self) -> tuple[AsyncConnection, Any]:
        if self._held and self._held[1].is_closed():
            await self._let_go()
        if self._held is None:
            # Beginning and ending is left to us.
            connection = await (await self._engine.connect()).execution_options(isolation_level="AUTOCOMMIT")
            self._held = connection, (await connection.get_raw_connection()).driver_connection
            await see_all_along(self._held[1])
        return self._held

    async def _roll_back(self, connection: AsyncConnection, driver: Any) -> None:
        try:
            await driver.execute("ROLLBACK")
        except Exception:  # noqa: BLE001 (whatever it is, the next one begins on another connection)
            await connection.invalidate()
            await self._let_go()

    async def _let_go_if_wanted(self) -> None:
        pool: Any = self._engine.pool
        if pool.overflow() > 0:  # others may wait for it
            await self._let_go()

    async def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is None:
            return
        connection, driver = held
        try:
            await see_nothing(driver)
        except BaseException as error:
            await connection.invalidate()  # nobody gets one that may still see
            if not isinstance(error, Exception):
                raise
        finally:
            await connection.close()


async def fetch(session: AsyncSession, statement: sa.TextClause, values: Mapping[str, Any]) -> Sequence[Any]:
    """The rows of a statement that is executed very often, as tuples; in the session's transaction.

    It goes straight to the driver, which takes a quarter of the time that SQLAlchemy takes; those of an engine that
    somebody listens to (traces) go the whole way.
    """
    known = session.info.get("driver")
    if known is None or known[0] is not _innermost(session):
        driver = await _driver_in(await session.connection())
        known = session.info["driver"] = _innermost(session), driver
    _, driver = known
    if driver is None:
        result: Any = await session.execute(statement, values)
        return result.all() if result.returns_rows else ()
    return await fetch_from(driver, statement, values)


async def fetch_from(driver: Any, statement: sa.TextClause, values: Mapping[str, Any]) -> Sequence[Any]:
    """The rows of a statement, as tuples; ``driver`` is asyncpg's connection."""
    text, names = _as_driver_takes_it(statement)
    rows: Sequence[Any] = await driver.fetch(text, *map(values.__getitem__, names))
    return rows


def _innermost(session: AsyncSession) -> Any:
    """The savepoint or else the transaction that the session is in: SQLAlchemy sets one only when it is asked for the connection."""
    return session.sync_session.get_nested_transaction() or session.sync_session.get_transaction()


def _is_listened_to(connection: AsyncConnection) -> bool:
    return bool(connection.sync_engine.dispatch.before_cursor_execute)


async def _driver_in(connection: AsyncConnection) -> Any:
    if _is_listened_to(connection):
        return None
    raw: Any = await connection.get_raw_connection()
    if not raw.driver_connection.is_in_transaction():
        await raw.dbapi_connection._start_transaction()  # noqa: SLF001 (else only a statement through SQLAlchemy begins it)
    return raw.driver_connection if raw.driver_connection.is_in_transaction() else None


@cache
def _as_driver_takes_it(statement: sa.TextClause) -> tuple[str, Sequence[str]]:
    compiled = statement.compile(dialect=_DIALECT)
    return str(compiled), compiled.positiontup or ()


def afterwards(session: AsyncSession, say: Callable[[], None]) -> None:
    """Let something be said once the transaction of ``session`` is committed, and not at all if it is not."""
    session.info[AFTERWARDS].append(say)


def district_date(session: AsyncSession, at: datetime) -> date:
    """The date of a moment in the district's time zone."""
    return at.astimezone(session.info["zone"]).date()


async def transaction_time(session: AsyncSession) -> datetime:
    """The database's clock at the start of this transaction."""
    at: datetime = (await session.execute(sa.text("SELECT transaction_timestamp()"))).scalar_one()
    return at


def next_revision(previous: int | None, at: datetime) -> int:
    """The revision after ``previous``: microseconds of ``at`` since 1970, or one more than ``previous`` if that is larger."""
    micros = _micros(at)
    return micros if previous is None else max(micros, previous + 1)


@lru_cache(maxsize=8)  # all rows of a transaction have the same time
def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def is_data_error(error: BaseException) -> bool:
    """Whether the database refused a value as such: SQLSTATE class 22."""
    return any(str(getattr(seen, "sqlstate", None))[:2] == "22" for seen in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or getattr(seen, "orig", None)


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed when tried again: the database is away, restarting, or chose us as a victim."""
    for seen in _chain(error):
        if isinstance(seen, ConnectionError | TimeoutError | OSError | sa.exc.TimeoutError):
            return True
        if isinstance(seen, sa.exc.DBAPIError) and seen.connection_invalidated:
            return True
        state: Any = getattr(seen, "sqlstate", None)
        if state is not None and str(state)[:2] in {"08", "40", "53", "55", "57"}:
            return True
        # By name, for what is wrong with a value is a kind of interface error too. What is wrong inside of the client is that
        # the server has ended the connection and we have not noticed yet.
        if type(seen).__module__.startswith("asyncpg") and type(seen).__name__ in {
            "InterfaceError",
            "InternalClientError",
        }:
            return True
    return False
