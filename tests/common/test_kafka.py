"""Events over a real Kafka: in order, once, from where the database says, and nothing lost when a topic or a database is not
what it was."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event

from common.events import TierDecided, by_type
from common.inbox import Inbox
from common.kafka import consume, create_topics, record_headers, send_from
from common.kafka import hearing as consumer
from common.kafka.records import record_of
from common.outbox import LARGEST_EVENT_BYTES, Record, publish
from common.runtime import Runtime
from common.settings import NotConfigured, Settings
from tests.common.echo.app import scored
from tests.common.test_inbox import decided, parked, tiers
from tests.faults.patience import eventually
from tests.harness import Running, record
from tests.kafka.broker import Broker, fresh_topics

pytestmark = pytest.mark.kafka

HEARD, SAID = "mtss", "echo"
FIRST = TopicPartition(HEARD, 0)


@pytest.fixture
async def topics(kafka: Broker) -> Broker:
    await fresh_topics(kafka.bootstrap, [HEARD, SAID], partitions=1)
    return kafka


def over(kafka: Broker, echo: Running) -> Runtime:
    """The same service with its events over ``kafka``."""
    settings = echo.runtime.settings.model_copy(update={"kafka": kafka.bootstrap})
    return replace(echo.runtime, settings=settings, beats={}, lag=None)


@asynccontextmanager
async def hearing(kafka: Broker, echo: Running) -> AsyncIterator[Runtime]:
    runtime = over(kafka, echo)
    async with at_work(consume(runtime, Inbox(runtime, echo.app.state.events, echo.app.state.telemetry))):
        yield runtime


@asynccontextmanager
async def at_work(loop: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(loop)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def produce(kafka: Broker, *records: Record) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, max_request_size=2 * LARGEST_EVENT_BYTES, enable_idempotence=True
    ) as producer:
        for each in records:
            await producer.send(HEARD, each.body, key=each.key.encode(), headers=record_headers(HEARD, each))


async def raw(kafka: Broker, body: bytes | None, headers: Sequence[tuple[str, bytes | None]], key: bytes = b"") -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        await producer.send_and_wait(HEARD, body, key=key, headers=headers)


async def heard(echo: Running, *students: UUID) -> None:
    async def all_there() -> bool:
        return set(students) <= set(await tiers(echo))

    await eventually(f"{len(students)} students are heard of", all_there)


async def caught_up(runtime: Runtime) -> None:
    async def no_lag() -> bool:
        return runtime.lag == 0

    await eventually("the lag is zero", no_lag)


async def stored(echo: Running) -> int | None:
    async with echo.session() as session:
        found = await session.execute(sa.text("SELECT next_offset FROM inbox_offset WHERE topic = 'mtss'"))
        return found.scalar()


async def set_back_rows(echo: Running) -> list[tuple[int, int]]:
    async with echo.session() as session:
        rows = await session.execute(sa.text("SELECT stored_offset, committed_offset FROM inbox_set_back"))
        return [(at, committed) for at, committed in rows]


async def committed(kafka: Broker) -> int | None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(SAID, partitions=[FIRST])
        offset: int = offsets[FIRST].offset
        return None if offset < 0 else offset
    finally:
        await admin.close()


async def read(kafka: Broker, topic: str, count: int) -> list[Any]:
    async with AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as consumer:
        return [await asyncio.wait_for(consumer.getone(), 20) for _ in range(count)]


async def test_what_the_outbox_holds_arrives_in_order_within_each_key(topics: Broker, echo: Running) -> None:
    await fresh_topics(topics.bootstrap, [SAID], partitions=3)
    students = [uuid4() for _ in range(7)]
    async with echo.session() as session:
        await publish(session, *(scored(students[n % 7], n) for n in range(1, 1500)))

    async with at_work(send_from(over(topics, echo))):
        messages = await read(topics, SAID, 1499)

    revisions = defaultdict(list)
    for message in messages:
        revisions[message.key].append(by_type()["surveys.survey-scored.v1"].model_validate_json(message.value).revision)
    assert len(revisions) == 7
    assert all(each == sorted(each) for each in revisions.values())


async def test_the_records_are_cloudevents_as_the_reference_library_reads_them(topics: Broker, echo: Running) -> None:
    student = uuid4()
    async with echo.session() as session:
        await publish(session, scored(student, 1))

    async with at_work(send_from(over(topics, echo))):
        (message,) = await read(topics, SAID, 1)

    event = from_binary_event(KafkaMessage(headers=dict(message.headers), key=message.key, value=message.value))
    assert (event.get_specversion(), event.get_type()) == ("1.0", "surveys.survey-scored.v1")
    assert (event.get_source(), event.get_subject()) == ("/trellis/echo", str(student))
    assert event.get_datacontenttype() == "application/json"
    assert (at := event.get_time())
    assert at.tzinfo is not None
    assert isinstance(data := event.get_data(), dict)
    assert data["student_id"] == str(student)
    assert UUID(event.get_id())
    assert record_of(message).created_at == at
    for unreadable in (b"yesterday", b"2026-09-01T00:00:00"):
        message.headers = [*message.headers, ("ce_time", unreadable)]
        assert record_of(message).created_at is None


async def test_an_event_of_nearly_one_mebibyte_gets_through(kafka: Broker, echo: Running) -> None:
    await fresh_topics(kafka.bootstrap, [HEARD], partitions=1)
    await remake_with_our_settings(kafka, HEARD)
    student = uuid4()
    event = record(decided(student))
    padded = replace(event, body=event.body[:-1] + b" " * (LARGEST_EVENT_BYTES - len(event.body)) + b"}")
    assert len(padded.body) == LARGEST_EVENT_BYTES

    async with hearing(kafka, echo):
        await produce(kafka, padded)
        await heard(echo, student)


async def test_a_consumer_begins_where_the_database_says(topics: Broker, echo: Running) -> None:
    before, after = [uuid4() for _ in range(3)], [uuid4() for _ in range(2)]
    await produce(topics, *(record(decided(student)) for student in before))
    async with hearing(topics, echo):
        await heard(echo, *before)

    await produce(topics, *(record(decided(student)) for student in after))
    async with hearing(topics, echo):
        await heard(echo, *after)

    assert {times for _, _, times in (await tiers(echo)).values()} == {1}
    assert await stored(echo) == 5
    assert await set_back_rows(echo) == []


async def test_a_thousand_events_of_one_moment_are_heard_once_each(topics: Broker, echo: Running) -> None:
    students = [uuid4() for _ in range(1000)]
    await produce(topics, *(record(decided(student)) for student in students))

    async with hearing(topics, echo) as runtime:
        await heard(echo, *students)
        await caught_up(runtime)

    assert {times for _, _, times in (await tiers(echo)).values()} == {1}
    assert await stored(echo) == await committed(topics) == 1000


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
async def test_topics_at_an_address_where_no_kafka_is_are_one_sentence(address: str) -> None:
    with pytest.raises(NotConfigured, match="Kafka does not answer"):
        await create_topics(Settings(kafka=address), [HEARD])


async def test_two_processes_share_the_partitions_and_each_event_is_heard_once(kafka: Broker, echo: Running) -> None:
    await fresh_topics(kafka.bootstrap, [HEARD], partitions=4)
    students = [uuid4() for _ in range(600)]
    async with hearing(kafka, echo):
        await produce(kafka, *(record(decided(student)) for student in students[:200]))
        await heard(echo, *students[:200])
        async with hearing(kafka, echo):
            await produce(kafka, *(record(decided(student)) for student in students[200:400]))
            await heard(echo, *students[200:400])
        await produce(kafka, *(record(decided(student)) for student in students[400:]))
        await heard(echo, *students)

    assert {times for _, _, times in (await tiers(echo)).values()} == {1}


async def test_a_topic_made_anew_is_heard_from_its_beginning(topics: Broker, echo: Running) -> None:
    before, after = [uuid4() for _ in range(3)], [uuid4() for _ in range(5)]
    await produce(topics, *(record(decided(student)) for student in before))
    async with hearing(topics, echo):
        await heard(echo, *before)

    await fresh_topics(topics.bootstrap, [HEARD], partitions=1)
    await produce(topics, *(record(decided(student)) for student in after))

    async with hearing(topics, echo):
        await heard(echo, *after)
    assert await set_back_rows(echo) == []


async def test_a_topic_made_anew_under_a_running_consumer_is_heard_too(
    topics: Broker, echo: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "_MADE_ANEW_SECONDS", 3.0)
    before, after = [uuid4() for _ in range(3)], [uuid4() for _ in range(5)]
    async with hearing(topics, echo):
        await produce(topics, *(record(decided(student)) for student in before))
        await heard(echo, *before)

        await fresh_topics(topics.bootstrap, [HEARD], partitions=1)
        await produce(topics, *(record(decided(student)) for student in after))

        await heard(echo, *after)


async def test_a_topic_that_ends_before_the_stored_offset_is_heard_from_its_beginning(
    topics: Broker, echo: Running
) -> None:
    student = uuid4()
    async with echo.session() as session:
        await session.execute(sa.text("INSERT INTO inbox_offset VALUES ('mtss', 0, 100, :id)"), {"id": uuid4()})
    await produce(topics, record(decided(student)))

    async with hearing(topics, echo):
        await heard(echo, student)

    assert await stored(echo) == 1


async def test_when_the_last_record_has_expired_it_begins_at_the_earliest(topics: Broker, echo: Running) -> None:
    students = [uuid4() for _ in range(6)]
    events = [record(decided(student)) for student in students]
    await produce(topics, *events[:2])
    async with hearing(topics, echo):
        await heard(echo, *students[:2])
    await produce(topics, *events[2:])
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    await admin.delete_records({FIRST: RecordsToDelete(before_offset=4)})
    await admin.close()

    async with hearing(topics, echo):
        await heard(echo, *students[4:])

    assert set(await tiers(echo)) == {*students[:2], *students[4:]}
    assert await stored(echo) == 6


async def test_a_database_set_back_while_nobody_ran_is_noticed_and_everything_is_heard_again(
    topics: Broker, echo: Running
) -> None:
    students = [uuid4() for _ in range(5)]
    await produce(topics, *(record(decided(student)) for student in students))
    async with hearing(topics, echo):
        await heard(echo, *students)
    await echo.empty()

    async with hearing(topics, echo):
        await heard(echo, *students)

    assert await set_back_rows(echo) == [(0, 5)]


async def test_a_database_set_back_under_an_idle_consumer_is_noticed_with_the_next_event(
    topics: Broker, echo: Running
) -> None:
    students = [uuid4() for _ in range(6)]
    async with hearing(topics, echo):
        await produce(topics, *(record(decided(student)) for student in students[:5]))
        await heard(echo, *students[:5])
        await echo.empty()

        await produce(topics, record(decided(students[5])))
        await heard(echo, *students)

    assert await set_back_rows(echo) == [(0, 5)]


async def test_setting_back_twice_is_noticed_twice(topics: Broker, echo: Running) -> None:
    students = [uuid4() for _ in range(5)]
    await produce(topics, *(record(decided(student)) for student in students))
    async with hearing(topics, echo):
        await heard(echo, *students)
    async with echo.session() as session:
        await session.execute(sa.text("UPDATE inbox_offset SET next_offset = next_offset - 2"))
        await session.execute(sa.text("INSERT INTO inbox_set_back VALUES ('mtss', 0, 1, 9, now(), now(), 'a person')"))

    async with hearing(topics, echo):

        async def noticed() -> bool:
            return (3, 5) in await set_back_rows(echo)

        await eventually("the second time is noticed", noticed)


async def test_a_database_that_is_away_when_partitions_are_assigned_costs_nothing(
    topics: Broker, echo: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    students = [uuid4() for _ in range(5)]
    await produce(topics, *(record(decided(student)) for student in students))
    async with hearing(topics, echo):
        await heard(echo, *students)
    await echo.empty()  # Kafka's offset is now beyond the database's: beginning there would lose all five
    ask, away = consumer._stored, iter([True])

    async def once_away(runtime: Runtime) -> Any:
        await asyncio.sleep(0.5)  # time enough to fetch from Kafka's own offset
        if next(away, False):
            raise OSError
        return await ask(runtime)

    monkeypatch.setattr(consumer, "_stored", once_away)

    async with hearing(topics, echo):
        await produce(topics, record(decided(late := uuid4())))
        await heard(echo, *students, late)


async def test_a_client_whose_own_task_died_in_an_outage_is_replaced(
    topics: Broker, echo: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen once with a broker that was killed: aiokafka's metadata task was gone, and a commit waited for it for ever."""
    monkeypatch.setattr(consumer, "ANSWER_SECONDS", 3.0)
    before, after = [uuid4() for _ in range(3)], [uuid4() for _ in range(3)]
    async with hearing(topics, echo):
        await produce(topics, *(record(decided(student)) for student in before))
        await heard(echo, *before)

        end("_md_synchronizer")
        topics.kill()
        await asyncio.to_thread(topics.start)

        for student in after:  # one by one: the first may still be heard, its commit is what hangs
            await produce(topics, record(decided(student)))
            await heard(echo, student)


async def test_a_consumer_that_is_given_no_partitions_for_long_is_replaced(
    topics: Broker, echo: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "_ASSIGNED_WITHIN_SECONDS", 3.0)
    asked, ask = 0, consumer._stored

    async def never_answers_the_first(runtime: Runtime) -> Any:
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.Event().wait()
        return await ask(runtime)

    monkeypatch.setattr(consumer, "_stored", never_answers_the_first)
    async with hearing(topics, echo):
        await produce(topics, record(decided(student := uuid4())))
        await heard(echo, student)


def end(coroutine: str) -> None:
    """Cancel the running task of this coroutine."""
    (task,) = (each for each in asyncio.all_tasks() if getattr(each.get_coro(), "__name__", "") == coroutine)
    task.cancel()


async def test_offsets_never_go_beyond_the_transaction(topics: Broker, echo: Running) -> None:
    student = uuid4()
    async with hearing(topics, echo):
        async with echo.admin.begin() as holding:
            await holding.execute(sa.text("LOCK TABLE echo_tier IN ACCESS EXCLUSIVE MODE"))
            await produce(topics, record(decided(student)))
            await eventually("the handler waits for the lock", lambda: waiting_for_locks(echo))
            assert (await stored(echo), await committed(topics)) == (None, None)
        await heard(echo, student)
        await eventually("the offset is committed to Kafka", lambda: committed(topics))

    assert await stored(echo) == await committed(topics) == 1


async def waiting_for_locks(echo: Running) -> bool:
    async with echo.session() as session:
        found = await session.execute(
            sa.text(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = 'echo')"
            )
        )
        return bool(found.scalar_one())


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], b"{}"),
        ([("ce_id", None), ("ce_type", b"mtss.tier-decided.v1")], b"{}"),
        ([("ce_id", b"no uuid"), ("ce_type", b"mtss.tier-decided.v1")], b"{}"),
        ([("ce_id", str(UUID(int=1)).encode()), ("ce_type", b"\xff")], b"{}"),
        ([("ce_id", str(UUID(int=1)).encode()), ("ce_type", b"mtss.tier-decided.v1"), ("ce_subject", b"a\0b")], b"{}"),
        ([("ce_id", str(UUID(int=1)).encode()), ("ce_type", b"mtss.tier-decided.v1"), ("traceparent", b"\0")], b"{}"),
        ([("ce_id", str(UUID(int=1)).encode()), ("ce_type", b"mtss.tier-decided.v1")], None),
    ],
    ids=["none", "null", "no uuid", "bad utf8", "nul in subject", "nul in trace", "no body"],
)
async def test_poison_in_the_envelope_is_parked_and_neighbours_go_on(
    topics: Broker, echo: Running, headers: list[tuple[str, bytes | None]], body: bytes | None
) -> None:
    before, after = uuid4(), uuid4()
    await produce(topics, record(decided(before)))
    await raw(topics, body, headers, key=b"\0\xff")
    await produce(topics, record(decided(after)))

    async with hearing(topics, echo):
        await heard(echo, before, after)

    assert len(await parked(echo)) == 1


async def test_an_event_that_names_no_storable_school_is_parked(topics: Broker, echo: Running) -> None:
    event = record(decided(uuid4(), school_id="a\0b"))
    well = uuid4()

    async with hearing(topics, echo):
        await produce(topics, event, record(decided(well)))
        await heard(echo, well)


async def test_missing_topics_are_made_once_and_a_refusal_is_said(kafka: Broker) -> None:
    settings = Settings(kafka=kafka.bootstrap)
    name = f"made-{uuid4()}"

    assert await create_topics(settings, [name]) == [name]
    assert await create_topics(settings, [name]) == []
    with pytest.raises(NotConfigured, match="InvalidTopicError"):
        await create_topics(settings, ["no such name!"])


async def remake_with_our_settings(kafka: Broker, topic: str) -> None:
    """Delete the topic and let ``create_topics`` make it, with the settings it gives."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.delete_topics([topic])
    await admin.close()

    async def made() -> bool:
        return await create_topics(Settings(kafka=kafka.bootstrap), [topic]) == [topic]

    await eventually(f"{topic} is made anew", made)


async def test_an_older_state_said_again_changes_nothing(topics: Broker, echo: Running) -> None:
    student = uuid4()
    newest: TierDecided = decided(student, 7)

    async with hearing(topics, echo):
        await produce(topics, record(newest), record(decided(student, 3)), record(newest))
        await produce(topics, record(decided(last := uuid4())))
        await heard(echo, student, last)

    assert (await tiers(echo))[student] == ("targeted", 7, 1)
