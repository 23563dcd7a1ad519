"""Transactions: one per request, committed before the response."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar

import sqlalchemy as sa
from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlmodel import SQLModel

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Table(SQLModel):
    """A table of ours. Rows are facts for storage; rules never see them."""

    __tablename__: ClassVar[Any]


def create_engine(url: str, *, pool_size: int = 8) -> AsyncEngine:
    """An engine whose errors never show parameters.

    ``url`` may start with ``postgresql://`` or ``postgresql+asyncpg://``.
    """
    return create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://", 1),
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=8,
        pool_pre_ping=True,
        pool_use_lifo=True,  # the connection used last has its statements prepared and its plans warm
        connect_args={"server_settings": {"timezone": "UTC", "jit": "off"}},
    )


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    """One transaction: committed when the route returned, rolled back when it raised."""
    async with request.app.state.runtime.transaction() as session:
        yield session


# scope="function": the commit comes before the response, so no 201 is sent for a commit that failed.
Session = Annotated[AsyncSession, Depends(open_session, scope="function")]


async def transaction_time(session: AsyncSession) -> datetime:
    """The database's clock at the start of this transaction."""
    at: datetime = (await session.execute(sa.text("SELECT transaction_timestamp()"))).scalar_one()
    return at


def next_revision(previous: int | None, at: datetime) -> int:
    """The revision after ``previous``: microseconds of ``at`` since 1970, or one more than ``previous`` if that is larger."""
    micros = (at - _EPOCH) // timedelta(microseconds=1)
    return micros if previous is None else max(micros, previous + 1)


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
        if type(seen).__module__.startswith("asyncpg") and "Interface" in type(seen).__name__:
            return True
    return False
