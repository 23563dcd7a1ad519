"""Transactions on one connection, one after the other: each whole or not at all, whatever became of the one before."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from asyncpg import InterfaceError, InternalClientError, PostgresError
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import Transactions, create_engine, fetch, is_transient
from common.events import Event
from common.outbox import publish
from tests.common.echo.app import scored
from tests.faults.patience import soon
from tests.harness import Running

_WHERE = sa.text("SELECT pg_backend_pid(), current_setting('trellis.sees', true)")


async def end(echo: Running, backend: int) -> None:
    async with echo.admin.begin() as connection:
        await connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})


async def say(session: AsyncSession, *students: UUID) -> None:
    await publish(session, *(scored(student, 1) for student in students))


async def say_and_fail(transaction: AbstractAsyncContextManager[object], session: AsyncSession | None = None) -> None:
    async with transaction as begun:
        await say(session or cast(AsyncSession, begun), uuid4())
        raise LookupError


async def say_and_lose_the_connection(echo: Running, transactions: Transactions) -> None:
    async with transactions.begin() as session:
        await say(session, uuid4())
        ((backend, _),) = await fetch(session, _WHERE, {})
        await end(echo, backend)


async def subjects(echo: Running) -> Sequence[str]:
    said: list[Event] = await echo.said()
    return [event.subject for event in said]


async def test_each_is_whole_or_nothing_and_the_next_goes_on_where_one_failed(echo: Running) -> None:
    first, last = uuid4(), uuid4()
    async with Transactions(echo.runtime.engine) as transactions:
        async with transactions.begin() as session:
            ((backend, sees),) = await fetch(session, _WHERE, {})
            await say(session, first)
        with pytest.raises(LookupError):
            await say_and_fail(transactions.begin())
        async with transactions.begin() as session:
            assert await fetch(session, _WHERE, {}) == [(backend, "all")]
            await say(session, last)

    assert sees == "all"
    assert await subjects(echo) == [str(first), str(last)]
    async with echo.runtime.engine.connect() as connection:  # what it gives back says nothing of what it saw
        assert (await connection.execute(_WHERE)).one() == (backend, "")


async def test_what_the_session_is_asked_for_belongs_to_the_same_transaction_and_a_savepoint_takes_back_its_own(
    echo: Running,
) -> None:
    before, after = uuid4(), uuid4()
    async with Transactions(echo.runtime.engine) as transactions:
        async with transactions.begin() as session:
            await say(session, before)
            assert await session.scalar(sa.text("SELECT count(*) FROM outbox")) == 1
            with pytest.raises(LookupError):
                await say_and_fail(session.begin_nested(), session)
            await say(session, after)
            assert await subjects(echo) == []
        assert await subjects(echo) == [str(before), str(after)]


async def test_a_connection_that_ended_costs_the_transaction_that_was_on_it_and_no_other(echo: Running) -> None:
    kept, last = uuid4(), uuid4()
    async with Transactions(echo.runtime.engine) as transactions:
        with pytest.raises((PostgresError, InterfaceError, InternalClientError)) as failed:
            await say_and_lose_the_connection(echo, transactions)
        assert is_transient(failed.value)

        async with transactions.begin() as session:
            ((other, _),) = await fetch(session, _WHERE, {})
            driver = session.info["driver"][1]
            await say(session, kept)
        await end(echo, other)
        await soon("that the connection ended is known here", driver.is_closed, every=0.01)
        async with transactions.begin() as session:
            await say(session, last)

    assert await subjects(echo) == [str(kept), str(last)]


async def test_a_connection_goes_back_after_each_where_more_are_asked_for_than_the_pool_keeps(echo: Running) -> None:
    engine = create_engine(echo.runtime.settings.database_url, pool_size=1)
    pool: Any = engine.pool
    held = []
    async with Transactions(engine) as transactions:
        for _ in range(2):
            async with transactions.begin() as session:
                await say(session, uuid4())
            held.append(pool.checkedout())
        async with transactions.begin() as session, engine.connect():
            await say(session, uuid4())
        held.append(pool.checkedout())
    await engine.dispose()

    assert held == [1, 1, 0]
    assert len(await subjects(echo)) == 3
