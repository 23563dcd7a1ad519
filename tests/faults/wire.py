"""Records put on a topic by hand, as a broken or repeating producer would, and read back from it."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from common.kafka import record_headers
from common.outbox import LARGEST_EVENT_BYTES, Record
from tests.faults.district import District
from tests.faults.patience import eventually

Header = tuple[str, bytes]
Raw = tuple[bytes | None, bytes | None, Sequence[Header]]
"""Key, value and headers."""


async def put(district: District, topic: str, messages: Iterable[Raw]) -> None:
    """Append to the topic, in this order within each key."""
    async with AIOKafkaProducer(
        bootstrap_servers=district.kafka.bootstrap, max_request_size=2 * LARGEST_EVENT_BYTES, enable_idempotence=True
    ) as producer:
        for key, value, headers in messages:
            await producer.send(topic, value, key=key, headers=list(headers))


def raw(topic: str, record: Record) -> Raw:
    """``record`` as the relay would send it."""
    return record.key.encode(), record.body, record_headers(topic, record)


async def everything_on(district: District, topic: str) -> list[Raw]:
    """Every message on the topic, oldest first within each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=district.kafka.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        await consumer._client.force_metadata_update()
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Raw] = []
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for messages in (await consumer.getmany(timeout_ms=500)).values():
                found += [(message.key, message.value, message.headers) for message in messages]
        return found
    finally:
        await consumer.stop()


async def heard_to_the_end(district: District, service: str, topic: str, *, within: float = 60) -> None:
    """Wait until the service has stored the offset at which the topic ends now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=district.kafka.bootstrap)
    await consumer.start()
    try:
        await consumer._client.force_metadata_update()
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        ends = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()

    async def there() -> bool:
        rows = await district.rows(
            service, "SELECT partition, next_offset FROM inbox_offset WHERE topic = :topic", topic=topic
        )
        stored: dict[int, int] = dict(map(tuple, rows))
        return all(stored.get(partition.partition, 0) >= end for partition, end in ends.items())

    await eventually(f"{service} has heard {topic} to its end", there, within=within)


async def heard(district: District, service: str, ids: set[UUID], *, within: float = 60) -> None:
    """Wait until the service has these events in its inbox."""

    async def there() -> bool:
        rows = await district.rows(
            service, "SELECT count(*) FROM inbox WHERE id = ANY(CAST(:ids AS uuid[]))", ids=list(ids)
        )
        return int(rows[0][0]) == len(ids)

    await eventually(f"{service} has heard {len(ids)} events", there, within=within)
