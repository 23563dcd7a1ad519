"""The relay's sending: one idempotent producer for as long as nothing fails."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed

from common.kafka.clients import ANSWER_SECONDS, connection, ended_in_time
from common.kafka.records import record_headers
from common.outbox import LARGEST_EVENT_BYTES, Record, Send, relay
from common.runtime import Runtime


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
        futures = [
            await producer.send(topic, record.body, key=record.key.encode(), headers=record_headers(topic, record))
            for record in records
        ]
        await asyncio.gather(*futures)


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Send nothing more: what was not acknowledged is in the outbox, and the next producer begins with it.

    A plain ``stop`` would go on delivering in the background for as long as the broker is away, beside the next producer.
    """
    if sender := producer._sender.sender_task:  # noqa: SLF001 (aiokafka has no other way to give up)
        sender.cancel()
    producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001
    await ended_in_time(producer.client.close())
    await ended_in_time(producer.stop())
