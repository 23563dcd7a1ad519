"""The relay's sending: one idempotent producer for as long as nothing fails."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain
from typing import Any
from zlib import crc32

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed

from common.kafka.clients import ANSWER_SECONDS, connection, ended_in_time
from common.kafka.records import record_headers
from common.outbox import LARGEST_EVENT_BYTES, Record, Send, relay
from common.runtime import Runtime

_BATCH_BYTES = 256 * 1024
"""So much of a partition goes in one piece: more than a round of the relay has, if its events are of the usual size."""


async def send_from(runtime: Runtime) -> None:
    """Relay this service's outbox to its topic, for ever."""

    @asynccontextmanager
    async def sending() -> AsyncIterator[Send]:
        producer = AIOKafkaProducer(
            **connection(runtime.settings),
            client_id=f"{runtime.name}-relay",
            enable_idempotence=True,
            max_request_size=LARGEST_EVENT_BYTES + 65536,
            request_timeout_ms=15_000,
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await producer.start()
            yield partial(_send, producer, runtime.name)
        finally:
            await _abandon(producer)

    await relay(runtime, sending)


async def _send(producer: AIOKafkaProducer, topic: str, records: Sequence[Record]) -> None:
    async with asyncio.timeout(ANSWER_SECONDS):
        partitions = sorted(await producer.partitions_for(topic))
        waiting = defaultdict(list)
        for record in records:
            waiting[partitions[crc32(record.key.encode()) % len(partitions)]].append(record)
        sent = [await _in_batches(producer, topic, *each) for each in waiting.items()]
        await asyncio.gather(*chain.from_iterable(sent))


async def _in_batches(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Record]
) -> list[asyncio.Future[Any]]:
    """Hand over what goes to one partition, in order; each future ends when a batch is acknowledged.

    One call a record would be half of what the relay costs.
    """
    sent, batch = [], producer.create_batch()
    for record in records:
        message = _message(topic, record)
        if batch.append(**message) is None:  # it is full
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(**message)
    sent.append(await producer.send_batch(batch, topic, partition=partition))
    return sent


def _message(topic: str, record: Record) -> dict[str, Any]:
    headers = record_headers(topic, record)
    return {"timestamp": None, "key": record.key.encode(), "value": record.body, "headers": headers}


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Send nothing more: what was not acknowledged is in the outbox, and the next producer begins with it.

    A plain ``stop`` would go on delivering in the background for as long as the broker is away, beside the next producer.
    """
    if sender := producer._sender.sender_task:  # noqa: SLF001 (aiokafka has no other way to give up)
        sender.cancel()
    producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001 (as above)
    await ended_in_time(producer.client.close())
    await ended_in_time(producer.stop())
