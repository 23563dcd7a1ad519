"""Many pushes at a time, in order where order counts."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from zlib import crc32

T = TypeVar("T")


async def in_lanes(
    items: Iterable[tuple[str, T]], push: Callable[[list[T]], Awaitable[None]], *, lanes: int, at_once: int
) -> None:
    """Hand every item to ``push``, up to ``at_once`` together; items of one key one after the other, in their order.

    Holds at most ``3 * lanes * at_once`` items.
    """
    queues: list[asyncio.Queue[list[T]]] = [asyncio.Queue(1) for _ in range(lanes)]
    waiting: list[list[T]] = [[] for _ in queues]

    async def work(queue: asyncio.Queue[list[T]]) -> None:
        while batch := await queue.get():
            await push(batch)

    async with asyncio.TaskGroup() as group:
        for queue in queues:
            group.create_task(work(queue))
        for key, item in items:
            lane = crc32(key.encode()) % lanes
            waiting[lane].append(item)
            if len(waiting[lane]) == at_once:
                await queues[lane].put(waiting[lane])
                waiting[lane] = []
        for queue, rest in zip(queues, waiting, strict=True):
            if rest:
                await queue.put(rest)
            await queue.put([])
