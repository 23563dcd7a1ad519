"""The consumer: hears the topics of a service from where its own database says."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import sqlalchemy as sa
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import ConsumerRecord

from common.inbox import EverythingFails, Inbox
from common.kafka.clients import ANSWER_SECONDS, connection, ended_in_time
from common.kafka.records import record_of
from common.outbox import BATCH
from common.runtime import Runtime, asked_to_stop

_RETRY_SECONDS = 2.0
_PROBE_SECONDS = 30.0
_ASSIGNED_WITHIN_SECONDS = 60.0
_MADE_ANEW_SECONDS = 20.0
"""So long may nobody have looked for a topic that was deleted and made anew."""

log = structlog.get_logger(__name__)


class ConsumerHangs(Exception):
    """Nothing was assigned to us, or the topic holds more than we were given, for a while: a new consumer must be made."""


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
            host = runtime.host_behind(error)
            log.warning("consumer waits", service=runtime.name, error=type(error).__name__, host=host)
            runtime.beat("consumer")
            await asyncio.sleep(_RETRY_SECONDS)


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
        self.unassigned_since: float | None = time.monotonic()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        async with self.busy:
            self.expected.clear()
            self.begun.clear()
            self.lags.clear()
            self.unassigned_since = time.monotonic()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        try:
            await self._begin_all(list(assigned))
            self.unassigned_since = None
        except Exception as error:  # noqa: BLE001 (the loop that hears raises it again)
            self.failure = error

    def check(self) -> None:
        """Nothing, as long as partitions can be heard.

        Raises:
            ConsumerHangs: for too long nobody has said which partitions are ours.
            Exception: what kept us from beginning on those we were given.
        """
        if self.failure:
            raise self.failure
        if self.unassigned_since and time.monotonic() - self.unassigned_since > _ASSIGNED_WITHIN_SECONDS:
            raise ConsumerHangs

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
        **connection(runtime.settings),
        group_id=runtime.name,
        client_id=runtime.name,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=BATCH,
        session_timeout_ms=10_000,  # so long does the group wait for a process that was killed
        heartbeat_interval_ms=2_000,
        request_timeout_ms=15_000,
        fetch_max_wait_ms=100,
        metadata_max_age_ms=round(_MADE_ANEW_SECONDS * 1000),
    )
    assignment, runtime.lag = _Assignment(inbox, consumer), None
    consumer.subscribe(inbox.router.owners(), listener=assignment)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await consumer.start()
        await _pump(runtime, inbox, consumer, assignment)
    finally:
        await _abandon(consumer)


async def _abandon(consumer: AIOKafkaConsumer) -> None:
    """Leave the group; what hangs is cut off, so that it does not stay a member beside the next consumer."""
    if await ended_in_time(consumer.stop()):
        return
    coordinator = consumer._coordinator  # noqa: SLF001 (aiokafka has no other way to give up)
    for task in (coordinator._coordination_task, coordinator._heartbeat_task, coordinator._commit_refresh_task):  # noqa: SLF001 (as above)
        if task:
            task.cancel()
    await ended_in_time(consumer._fetcher.close())  # noqa: SLF001 (as above)
    await ended_in_time(consumer._client.close())  # noqa: SLF001 (as above)


async def _pump(runtime: Runtime, inbox: Inbox, consumer: AIOKafkaConsumer, assignment: _Assignment) -> None:
    clock = asyncio.get_running_loop().time
    probed_at, behind = clock(), set[TopicPartition]()
    while True:
        fetched = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
        runtime.beat("consumer")
        assignment.check()
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
            # aiokafka waits for ever for metadata that its own task, once it has died, never brings.
            async with asyncio.timeout(ANSWER_SECONDS):
                await consumer.commit(still_ours)
    except (CommitFailedError, IllegalStateError):
        log.info("offsets were not committed to Kafka; the database has them")


async def _behind(consumer: AIOKafkaConsumer) -> set[TopicPartition]:
    """Partitions that hold records we were not given."""
    partitions = list(consumer.assignment())
    if not partitions:
        return set()
    async with asyncio.timeout(ANSWER_SECONDS):
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
