"""Events over Kafka: the relay's sending and the consumer. The only file that knows aiokafka.

CloudEvents 1.0 in binary mode: one header per attribute, the body as JSON.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    NoError,
    ProducerClosed,
    TopicAlreadyExistsError,
    for_code,
)
from aiokafka.structs import ConsumerRecord

from common.inbox import EverythingFails, Inbox
from common.outbox import BATCH, LARGEST_EVENT_BYTES, Record, Send, relay
from common.runtime import Runtime, asked_to_stop

SEND_SECONDS = 30.0
"""How long the relay waits for the broker before it says that it waits and begins again with a new producer."""
_PARTITIONS = 6
_RETENTION_MS = 30 * 24 * 3600 * 1000
_RETRY_SECONDS = 2.0
_STOP_SECONDS = 5.0
_PROBE_SECONDS = 30.0
_UNKNOWN = UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")

log = structlog.get_logger(__name__)


class ConsumerHangs(Exception):
    """The topic holds more than we were given for a while: the consumer must be made anew."""


def record_headers(source: str, record: Record) -> list[tuple[str, bytes]]:
    """The CloudEvents attributes of a record as Kafka headers."""
    at = (record.created_at or datetime.now().astimezone()).isoformat()
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": str(record.id),
        "ce_type": record.type,
        "ce_source": f"/trellis/{source}",
        "ce_time": at,
        "ce_subject": record.subject,
        "content-type": "application/json",
    }
    if record.traceparent:
        attributes["traceparent"] = record.traceparent
    return [(name, value.encode()) for name, value in attributes.items()]


def record_of(message: "ConsumerRecord[bytes, bytes]") -> Record:
    """What came from Kafka as a record. Without readable headers its id is made from its place and its type is empty."""
    headers = {name: value for name, value in message.headers if value is not None}
    try:
        identity, kind = UUID(headers["ce_id"].decode()), headers["ce_type"].decode()
        subject = headers.get("ce_subject", b"").decode()
    except (KeyError, ValueError):
        identity, kind, subject = uuid5(_UNKNOWN, f"{message.topic}/{message.partition}/{message.offset}"), "", ""
    return Record(
        id=identity,
        type=kind,
        subject=_storable(subject),
        key=_storable((message.key or b"").decode(errors="replace")),
        body=message.value or b"",
        traceparent=_storable(headers["traceparent"].decode(errors="replace")) if "traceparent" in headers else None,
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
    )


def _storable(text: str) -> str:
    # PostgreSQL's text holds no NUL: what cannot even be parked would stop the consumer for ever.
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


async def create_topics(settings: Any, topics: Iterable[str], *, partitions: int = _PARTITIONS) -> list[str]:
    """Create the topics that are missing; returns their names.

    Raises:
        KafkaError: the broker refuses one of them.
    """
    admin = AIOKafkaAdminClient(**_connection(settings))
    await admin.start()
    try:
        missing = sorted(set(topics) - set(await admin.list_topics()))
        configuration = {"retention.ms": str(_RETENTION_MS), "max.message.bytes": str(LARGEST_EVENT_BYTES + 65536)}
        # No assignments of our own, and -1: as many replicas as the broker gives by itself.
        new = [NewTopic(name, partitions, -1, replica_assignments={}, topic_configs=configuration) for name in missing]
        for _, code, *_ in (await admin.create_topics(new)).topic_errors:
            if code not in {NoError.errno, TopicAlreadyExistsError.errno}:
                raise for_code(code)
        return missing
    finally:
        await admin.close()


async def send_from(runtime: Runtime) -> None:
    """Relay this service's outbox to its topic, for ever."""

    @asynccontextmanager
    async def sending() -> AsyncIterator[Send]:
        producer = AIOKafkaProducer(
            **_connection(runtime.settings),
            client_id=f"{runtime.name}-relay",
            enable_idempotence=True,
            max_request_size=LARGEST_EVENT_BYTES + 65536,
            request_timeout_ms=15_000,
            linger_ms=0,
        )
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await producer.start()
            yield partial(_send, producer, runtime.name)
        finally:
            await _abandon(producer)

    await relay(runtime, sending)


async def consume(runtime: Runtime, inbox: Inbox) -> None:
    """Hear the topics this service listens to, for ever. Offsets live in its own database."""
    while True:
        try:
            await _consume(runtime, inbox)
        except EverythingFails:
            log.error("consumer stops: nothing can be handled", service=runtime.name)  # noqa: TRY400 (no traceback)
            await asyncio.sleep(60)
        except (Exception, asyncio.CancelledError) as error:
            if asked_to_stop(error):
                raise
            log.warning("consumer waits", service=runtime.name, error=type(error).__name__)
            runtime.beat("consumer")
            await asyncio.sleep(_RETRY_SECONDS)


async def _send(producer: AIOKafkaProducer, topic: str, records: Sequence[Record]) -> None:
    async with asyncio.timeout(SEND_SECONDS):
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
    await _in_time(producer.client.close())
    await _stop(producer)


async def _stop(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    # A stop that waits for a broker that is away must not hold up the next attempt.
    if not await _in_time(client.stop()):
        log.info("a Kafka client did not stop in time")


async def _in_time(closing: Coroutine[Any, Any, None]) -> bool:
    """Whether it ended within a few seconds. Its errors stay there: aiokafka cancels itself when a connection was cut."""
    task = asyncio.create_task(closing)
    await asyncio.wait({task}, timeout=_STOP_SECONDS)
    if not task.done():
        task.cancel()
        return False
    return task.cancelled() or task.exception() is None


def _connection(settings: Any) -> dict[str, Any]:
    return {"bootstrap_servers": settings.kafka, **settings.kafka_security}


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Where to begin on each partition we are given, and a lock held while records are processed.

    aiokafka fetches from the offset in Kafka until we seek, and swallows what is raised here: so nothing is heard of a
    partition before it is in ``begun``, and ``failure`` says that it never will be.
    """

    def __init__(self, inbox: Inbox, consumer: AIOKafkaConsumer) -> None:
        self.runtime, self.inbox, self.consumer, self.busy = inbox.runtime, inbox, consumer, asyncio.Lock()
        self.expected: dict[TopicPartition, tuple[int, UUID]] = {}
        self.begun: set[TopicPartition] = set()
        self.lags: dict[TopicPartition, int] = {}
        self.failure: Exception | None = None

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        async with self.busy:
            self.expected.clear()
            self.begun.clear()
            self.lags.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        try:
            await self._begin_all(list(assigned))
        except Exception as error:  # noqa: BLE001 (the loop that hears raises it again)
            self.failure = error

    async def _begin_all(self, partitions: Sequence[TopicPartition]) -> None:
        if not partitions:
            return
        self.inbox.places.clear()
        stored = await _stored(self.runtime)
        ends = await self.consumer.end_offsets(partitions)
        for partition in partitions:
            await self._notice_set_back(partition, stored.get((partition.topic, partition.partition)))
        for partition in partitions:  # no await from the first seek on: what was fetched after it must be heard
            known = stored.get((partition.topic, partition.partition))
            self._begin(partition, known, ends[partition])
            self.lags[partition] = max(0, ends[partition] - (known[0] if known else 0))
        self.begun.update(partitions)
        self.say_lag()

    def heard(self, messages: Sequence["ConsumerRecord[bytes, bytes]"]) -> None:
        """Note how many records the partitions just heard still hold."""
        for partition, offset in {TopicPartition(m.topic, m.partition): m.offset + 1 for m in messages}.items():
            self.lags[partition] = max(0, (self.consumer.highwater(partition) or 0) - offset)
        self.say_lag()

    def say_lag(self) -> None:
        """Say how far behind this service is; until it has begun, that is unknown."""
        self.runtime.lag = sum(self.lags.values())

    def _begin(self, partition: TopicPartition, stored: tuple[int, UUID] | None, end: int) -> None:
        if stored is None or end < stored[0]:
            self.consumer.seek(partition, 0)
            return
        # Read the last record again: if it is another one, the topic was made anew and everything in it is unheard.
        self.expected[partition] = stored
        self.consumer.seek(partition, stored[0] - 1)

    async def _notice_set_back(self, partition: TopicPartition, stored: tuple[int, UUID] | None) -> None:
        committed = await self.consumer.committed(partition)
        known = stored[0] if stored else 0
        if committed is None or committed <= known:
            return
        async with self.runtime.transaction() as session:
            await session.execute(
                _SET_BACK,
                {"topic": partition.topic, "partition": partition.partition, "stored": known, "committed": committed},
            )
        log.error("the database was set back", service=self.runtime.name)

    def unheard(
        self, fetched: Mapping[TopicPartition, Sequence["ConsumerRecord[bytes, bytes]"]]
    ) -> list["ConsumerRecord[bytes, bytes]"]:
        """The messages that come after what was stored; a partition whose last record is another one starts anew."""
        messages: list[ConsumerRecord[bytes, bytes]] = []
        for partition, found in fetched.items():
            messages += self._after_stored(partition, found)
        return messages

    def _after_stored(
        self, partition: TopicPartition, found: Sequence["ConsumerRecord[bytes, bytes]"]
    ) -> Sequence["ConsumerRecord[bytes, bytes]"]:
        expected = self.expected.pop(partition, None)
        if expected is None or not found or found[0].offset != expected[0] - 1:
            return found
        if record_of(found[0]).id == expected[1]:
            return found[1:]
        self.consumer.seek(partition, 0)
        return ()


async def _consume(runtime: Runtime, inbox: Inbox) -> None:
    consumer = AIOKafkaConsumer(
        **_connection(runtime.settings),
        group_id=runtime.name,
        client_id=runtime.name,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=BATCH,
        session_timeout_ms=10_000,  # so long does the group wait for a process that was killed
        heartbeat_interval_ms=2_000,
        request_timeout_ms=15_000,
        fetch_max_wait_ms=100,
        metadata_max_age_ms=20_000,  # until then nobody looks for a topic that was deleted and made anew
    )
    assignment, runtime.lag = _Assignment(inbox, consumer), None
    consumer.subscribe(inbox.router.owners(), listener=assignment)
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await consumer.start()
        await _pump(runtime, inbox, consumer, assignment)
    finally:
        await _stop(consumer)


async def _pump(runtime: Runtime, inbox: Inbox, consumer: AIOKafkaConsumer, assignment: _Assignment) -> None:
    clock = asyncio.get_running_loop().time
    probed_at, behind = clock(), set[TopicPartition]()
    while True:
        fetched = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
        runtime.beat("consumer")
        if assignment.failure:
            raise assignment.failure
        if fetched:
            probed_at, behind = clock(), set()
            await _process(inbox, consumer, assignment, fetched)
        elif clock() - probed_at > _PROBE_SECONDS:
            # aiokafka may hang in silence after a broker restart: behind at two probes and given nothing in between.
            if behind & (now_behind := await _behind(consumer)):
                raise ConsumerHangs
            probed_at, behind = clock(), now_behind


async def _process(
    inbox: Inbox,
    consumer: AIOKafkaConsumer,
    assignment: _Assignment,
    fetched: Mapping[TopicPartition, Sequence["ConsumerRecord[bytes, bytes]"]],
) -> None:
    async with assignment.busy:
        ours = {partition: found for partition, found in fetched.items() if partition in assignment.begun}
        if messages := assignment.unheard(ours):
            await inbox.process([record_of(message) for message in messages])
            await _commit(consumer, messages)
            assignment.heard(messages)


async def _commit(consumer: AIOKafkaConsumer, messages: Sequence["ConsumerRecord[bytes, bytes]"]) -> None:
    offsets = {TopicPartition(m.topic, m.partition): m.offset + 1 for m in messages}
    still_ours = {partition: offset for partition, offset in offsets.items() if partition in consumer.assignment()}
    try:
        if still_ours:
            await consumer.commit(still_ours)
    except (CommitFailedError, IllegalStateError):
        log.info("offsets were not committed to Kafka; the database has them")


async def _behind(consumer: AIOKafkaConsumer) -> set[TopicPartition]:
    """Partitions that hold records we were not given."""
    partitions = list(consumer.assignment())
    if not partitions:
        return set()
    async with asyncio.timeout(SEND_SECONDS):
        ends = await consumer.end_offsets(partitions)
    return {partition for partition in partitions if await consumer.position(partition) < ends[partition]}


async def _stored(runtime: Runtime) -> dict[tuple[str, int], tuple[int, UUID]]:
    async with runtime.transaction() as session:
        rows = await session.execute(sa.text("SELECT topic, partition, next_offset, last_event_id FROM inbox_offset"))
        return {(topic, partition): (offset, last) for topic, partition, offset, last in rows}


_SET_BACK = sa.text(
    """
    INSERT INTO inbox_set_back (topic, partition, stored_offset, committed_offset)
    VALUES (:topic, :partition, :stored, :committed) ON CONFLICT DO NOTHING
    """
)
