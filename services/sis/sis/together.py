"""Rows that come one by one at the same moment share a transaction, which costs little more for many than for one."""

import asyncio
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from common.db import Transactions, is_data_error, is_transient
from common.errors import NotStorable
from common.runtime import Runtime
from sis.adding import add
from sis.arrivals.intake import Arrival, take_in
from sis.plan import Result
from sis.policy import BULK_ROWS
from sis.resources import Resource
from sis.rows import Row

Waiting = tuple[Arrival, asyncio.Future[Result]]


_COME_AGAIN_SECONDS = 0.002
"""So long are those awaited who were just answered; most push their next row within a millisecond."""


@dataclass(slots=True)
class _Queue:
    waiting: list[Waiting] = field(default_factory=list)
    writing: asyncio.Task[None] | None = None
    pushing: int = 1
    """How many pushed at the same moment last: so many are likely to come now."""
    complete: asyncio.Event = field(default_factory=asyncio.Event)


_queues: MutableMapping[Runtime, dict[str, _Queue]] = WeakKeyDictionary()


async def write_together(runtime: Runtime, resource: Resource, arrival: Arrival) -> Result:
    """Take in one row that upserts, or note why it could not be read; what came of it once that is committed.

    While one transaction of the resource is under way, those that come wait, and then go together in their order. Whoever
    pushes alone waits for nobody; where several push at once, each waits a moment for the others.
    """
    queue = _queues.setdefault(runtime, {}).setdefault(resource.name, _Queue())
    result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    queue.waiting.append((arrival, result))
    if len(queue.waiting) >= queue.pushing:
        queue.complete.set()
    if queue.writing is None or queue.writing.done():
        queue.writing = asyncio.create_task(_write_all(runtime, resource, queue))
    return await result


async def _write_all(runtime: Runtime, resource: Resource, queue: _Queue) -> None:
    while queue.waiting:  # also what came while the connection was given back
        async with Transactions(runtime.engine) as transactions:
            while await _gather(queue):
                some = queue.waiting[:BULK_ROWS]
                del queue.waiting[: len(some)]
                await _settle(transactions, runtime, resource, some)
                # Those just answered and those that came meanwhile are the ones who push now.
                queue.pushing = min(len(some) + len(queue.waiting), BULK_ROWS)


async def _gather(queue: _Queue) -> int:
    """How many wait, when as many have come as pushed last or a moment has passed: a transaction costs more than that."""
    queue.complete.clear()
    if len(queue.waiting) < queue.pushing:
        with suppress(TimeoutError):
            async with asyncio.timeout(_COME_AGAIN_SECONDS):
                await queue.complete.wait()
    return len(queue.waiting)


async def _settle(transactions: Transactions, runtime: Runtime, resource: Resource, some: Sequence[Waiting]) -> None:
    arrivals = [arrival for arrival, _ in some]
    try:
        async with transactions.outright() as driver:
            results = await add(driver, runtime, resource, arrivals)
        if results is None:
            async with transactions.begin() as session:
                results = await take_in(session, runtime, resource, arrivals)
    except Exception as error:  # noqa: BLE001 (whoever waits for the row is told)
        if len(some) > 1 and not is_transient(error):
            for one in some:  # so that a row which cannot be stored fails alone
                await _settle(transactions, runtime, resource, [one])
            return
        (arrival, answer), *_ = some
        if isinstance(arrival.row, Row) and is_data_error(error):
            await _settle(transactions, runtime, resource, [(replace(arrival, row=NotStorable()), answer)])
            return
        for _, waits in some:
            if not waits.done():
                waits.set_exception(error)
        return
    for (_, waits), result in zip(some, results, strict=True):
        if not waits.done():
            waits.set_result(result)
