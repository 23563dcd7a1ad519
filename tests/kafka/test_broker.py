from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.kafka.broker import Broker, fresh_topics


async def send(kafka: Broker, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=True) as producer:
        for value in values:
            await producer.send_and_wait("mtss", value)


async def read(kafka: Broker, count: int) -> list[bytes | None]:
    async with AIOKafkaConsumer("mtss", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as consumer:
        return sorted([(await consumer.getone()).value for _ in range(count)])


async def test_what_was_sent_is_still_there_after_kill_minus_nine(kafka: Broker):
    await fresh_topics(kafka.bootstrap, ["mtss"])
    await send(kafka, b"1", b"2")

    kafka.kill()
    assert not kafka.answers()
    kafka.start()

    await send(kafka, b"3")
    assert await read(kafka, 3) == [b"1", b"2", b"3"]


async def test_a_frozen_broker_answers_nothing_until_it_thaws(kafka: Broker):
    kafka.freeze()
    assert not kafka.answers()

    kafka.thaw()

    assert kafka.answers()


async def test_fresh_topics_are_empty_and_forget_what_groups_had_read(kafka: Broker):
    await fresh_topics(kafka.bootstrap, ["mtss"])
    await send(kafka, b"old")
    options = {"bootstrap_servers": kafka.bootstrap, "group_id": "mtss", "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer("mtss", **options) as consumer:
        await consumer.getone()
        await consumer.commit()

    await fresh_topics(kafka.bootstrap, ["mtss"])
    await send(kafka, b"new")

    async with AIOKafkaConsumer("mtss", **options) as consumer:
        assert (await consumer.getone()).value == b"new"
