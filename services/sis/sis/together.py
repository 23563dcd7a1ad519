"""Rows that come one by one at the same moment share a transaction, which costs little more for many than for one."""

import asyncio
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from common.db import is_data_error, is_transient
from common.errors import NotStorable
from common.runtime import Runtime
from sis.arrivals import Arrival, take_in
from sis.plan import Result
from sis.policy import BULK_ROWS
from sis.resources import Resource
from sis.rows import Row

Waiting = tuple[Arrival, asyncio.Future[Result]]


@dataclass(slots=True)
class _Queue:
    waiting: list[Waiting] = field(default_factory=list)
    writing: asyncio.Task[None] | None = None


_queues: MutableMapping[Runtime, dict[str, _Queue]] = WeakKeyDictionary()


async def write_together(runtime: Runtime, resource: Resource, arrival: Arrival) -> Result:
    """Take in one row that upserts, or note why it could not be read; what came of it once that is committed.

    While one transaction of the resource is under way, those that come wait, and then go together in their order. Nobody
    waits for others to come.
    """
    queue = _queues.setdefault(runtime, {}).setdefault(resource.name, _Queue())
    result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    queue.waiting.append((arrival, result))
    if queue.writing is None or queue.writing.done():
        queue.writing = asyncio.create_task(_write_all(runtime, resource, queue.waiting))
    return await result


async def _write_all(runtime: Runtime, resource: Resource, waiting: list[Waiting]) -> None:
    while some := waiting[:BULK_ROWS]:
        del waiting[: len(some)]
        await _settle(runtime, resource, some)


async def _settle(runtime: Runtime, resource: Resource, some: Sequence[Waiting]) -> None:
    try:
        async with runtime.transaction() as session:
            results = await take_in(session, runtime, resource, [arrival for arrival, _ in some])
    except Exception as error:  # noqa: BLE001 (whoever waits for the row is told)
        if len(some) > 1 and not is_transient(error):
            for one in some:  # so that a row which cannot be stored fails alone
                await _settle(runtime, resource, [one])
            return
        (arrival, answer), *_ = some
        if isinstance(arrival.row, Row) and is_data_error(error):
            await _settle(runtime, resource, [(replace(arrival, row=NotStorable()), answer)])
            return
        for _, waits in some:
            if not waits.done():
                waits.set_exception(error)
        return
    for (_, waits), result in zip(some, results, strict=True):
        if not waits.done():
            waits.set_result(result)
