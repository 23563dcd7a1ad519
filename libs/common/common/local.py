"""Events without Kafka: the same outbox rows go straight to the other services' inboxes, in one process."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from common.inbox import Inbox
from common.outbox import Record, Send, relay
from common.runtime import Runtime


async def deliver(runtime: Runtime, inboxes: Mapping[str, Inbox]) -> None:
    """Take what ``runtime``'s service says to every inbox that hears it, for ever."""
    hearing = [
        inbox for name, inbox in inboxes.items() if runtime.name in inbox.router.owners() and name != runtime.name
    ]

    @asynccontextmanager
    async def sending() -> AsyncIterator[Send]:
        async def send(records: Sequence[Record]) -> None:
            await asyncio.gather(*(inbox.process(records) for inbox in hearing))

        yield send

    await relay(runtime, sending)
